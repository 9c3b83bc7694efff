"""Pictures in object storage and on web servers: what is listed, what is fetched, and what goes wrong on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import fsspec
import numpy as np
import pytest
from network_camera import PORTRAIT, free_port
from scripted_server import http, scripted

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import remote_pictures
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.sources.remote_pictures import fetch, fetch_picture, is_remote, list_remote, shown_address

JPEG = PORTRAIT.read_bytes()
GONE = http(b"", status="404 Not Found")
BUSY = http(b"", status="503 Service Unavailable")


@pytest.fixture
def bucket() -> Iterator[str]:
    """memory://bucket with pictures, a sub-folder, a text, and a hidden file."""
    store = fsspec.filesystem("memory")
    for name in ("b.jpg", "a.JPG", "sub/c.jpg", "sub/deeper/d.jpg", "notes.txt", ".hidden.jpg", "odd/a%20b c?.jpg"):
        store.pipe_file(f"/bucket/{name}", JPEG)
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_pictures, "RETRY_AFTER", 0.01)


@pytest.mark.parametrize(
    "name", ["s3://b/a.jpg", "GS://b/", "https://host/x", "http://host/x", "az://c/x", "memory://b"]
)
def test_addresses(name: str) -> None:
    assert is_remote(name)


@pytest.mark.parametrize("name", ["rtsp://camera/1", "a/b.jpg", "file:///a.jpg", "s3:/b", "C://x", "-", "a s3://b"])
def test_other_names(name: str) -> None:
    assert not is_remote(name)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_lists_its_pictures(bucket: str, end: str) -> None:
    found = list_remote(bucket + end)
    assert found.addresses == [f"{bucket}/a.JPG", f"{bucket}/b.jpg"]
    assert (
        found.left_out
        == "1 file that is no picture (.txt), 1 hidden file or folder, 2 sub-folders (--recursive reads them)"
    )
    assert found.listed


def test_sub_folders_and_odd_names(bucket: str) -> None:
    names = ["a.JPG", "b.jpg", "odd/a%20b c?.jpg", "sub/c.jpg", "sub/deeper/d.jpg"]
    found = list_remote(bucket, recursive=True)
    assert found.addresses == [f"{bucket}/{name}" for name in names]
    for address in found.addresses:
        np.testing.assert_array_equal(fetch_picture(address).pixels, read_picture(PORTRAIT))


def test_one_picture_needs_no_listing(bucket: str) -> None:
    for address in (f"{bucket}/b.jpg", "http://127.0.0.1:1/no/request/is/made", "memory://no/such.png"):
        assert list_remote(address).addresses == [address]


def test_nothing_there(bucket: str) -> None:
    for address in ("memory://nothing", f"{bucket}/none"):
        with pytest.raises(SourceError, match="no such file or folder"):
            list_remote(address)
    fsspec.filesystem("memory").pipe_file("/bucket/texts/a.txt", b"")
    with pytest.raises(SourceError, match=r"holds no pictures .*1 file that is no picture \(\.txt\)"):
        list_remote(f"{bucket}/texts")
    with pytest.raises(SourceError, match="no such file"):
        fetch_picture(f"{bucket}/gone.jpg")


def test_too_large(bucket: str) -> None:
    assert fetch(f"{bucket}/b.jpg", len(JPEG)) == JPEG
    with pytest.raises(SourceError, match="has more than 1000 bytes"):
        fetch(f"{bucket}/b.jpg", 1000)


def test_a_web_server_s_picture() -> None:
    """With its query, and whether it says the length or not."""
    with scripted(http(JPEG), http(JPEG, length=False)) as server:
        for number in range(2):
            address = f"http://127.0.0.1:{server.port}/x?id={number}"
            np.testing.assert_array_equal(fetch_picture(address).pixels, read_picture(PORTRAIT))
            assert server.requests[-1].startswith(f"GET /x?id={number} HTTP")
        assert len(server.requests) == 2


def test_an_endless_answer_is_read_to_the_limit() -> None:
    def endless() -> Iterator[bytes]:
        yield http(b"", length=False)
        while True:
            yield bytes(1 << 16)

    with scripted(endless()) as server, pytest.raises(SourceError, match="has more than 1000000 bytes"):
        fetch(f"http://127.0.0.1:{server.port}/x.jpg", 1_000_000)


@pytest.mark.parametrize(
    "first",
    [BUSY, b"", http(JPEG)[:5000], http(b"", status="429 Too Many Requests")],
    ids=["503", "closed", "cut off", "429"],
)
def test_what_may_pass_is_tried_again(first: bytes) -> None:
    with scripted(first, first, http(JPEG)) as server:
        assert fetch(f"http://127.0.0.1:{server.port}/x.jpg", 1 << 20) == JPEG


@pytest.mark.parametrize(
    ("answer", "message", "requests"),
    [
        (GONE, "there is no such file", 1),
        (http(b"", status="403 Forbidden"), "the server answers 403 Forbidden", 1),
        (BUSY, "the server answers 503", remote_pictures.ATTEMPTS),
    ],
)
def test_refused(answer: bytes, message: str, requests: int) -> None:
    with scripted(answer) as server:
        with pytest.raises(SourceError, match=message) as raised:
            fetch(f"http://me:S3CRET@127.0.0.1:{server.port}/x.jpg?sig=S3CRET", 1 << 20)
        assert len(server.requests) == requests
    assert "S3CRET" not in str(raised.value) and f"127.0.0.1:{server.port}/x.jpg" in str(raised.value)


def test_silence_and_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_pictures, "ANSWER_TIMEOUT", 0.1)
    remote_pictures._system.cache_clear()
    with scripted(lambda _: server.silence()) as server, pytest.raises(SourceError, match="no answer in time"):
        fetch(f"http://127.0.0.1:{server.port}/slow.jpg", 1 << 20)
    with pytest.raises(SourceError, match=r"cannot be fetched: Cannot connect to host 127\.0\.0\.1"):
        fetch(f"http://127.0.0.1:{free_port()}/x.jpg", 1 << 20)
    remote_pictures._system.cache_clear()


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
from fer_edge.edge.errors import FerEdgeError, SourceError
from fer_edge.edge.sources.remote_pictures import fetch
for address in sys.argv[2:]:
    try:
        fetch(address, 1000)
    except FerEdgeError as error:
        assert not isinstance(error, SourceError), "it would be an error record for each picture"
        print(error)
"""


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        ("s3fs,gcsfs,adlfs,aiohttp", {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "https": "[remote]"}),
        ("fsspec", {"s3": "[remote]", "https": "[remote]"}),
    ],
)
def test_the_missing_package_is_named(missing: str, wanted: dict[str, str]) -> None:
    command = [sys.executable, "-c", WITHOUT, missing, *(f"{scheme}://place/x.jpg" for scheme in wanted)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(wanted)
    for line, (scheme, package) in zip(lines, wanted.items(), strict=True):
        assert (
            line.startswith(f"{scheme}://place/x.jpg: ")
            and "install" in line
            and line.endswith((package, f"{package}'"))
        )


def test_results_have_no_secrets_but_what_tells_pictures_apart() -> None:
    assert shown_address("https://me:S3CRET@h/p?id=7&size=2") == "https://h/p?id=7&size=2"
    assert (
        shown_address("https://h/a.jpg?id=7&X-Amz-Signature=S3CRET&more=1") == "https://h/a.jpg?id=7&X-Amz-Signature=…"
    )
