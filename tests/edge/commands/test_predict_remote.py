"""`fer-edge predict` on pictures by their addresses: the results are those of the files, without anybody's password."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result
from network_camera import PORTRAIT
from scripted_server import http, scripted
from waiting import LIMIT

from fer_edge.edge.cli import main
from fer_edge.edge.commands.archive.fetching import AHEAD


def predict(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, words)])


@pytest.fixture
def server() -> Iterator[str]:
    """HOST:PORT of a server with the portrait under every name but gone.jpg."""
    gone, portrait = http(b"", status="404 Not Found"), http(PORTRAIT.read_bytes())
    with scripted(lambda head: gone if "gone.jpg" in head else portrait) as found:
        yield f"127.0.0.1:{found.port}"


def test_a_list_of_addresses(server: str, tmp_path: Path) -> None:
    """In worker processes, in its order, between files; what is not there is an error record."""
    listed = [
        f"http://{server}/picture?id=1",
        str(PORTRAIT),
        f"http://{server}/gone.jpg",
        f"http://me:S3CRET@{server}/picture?id=2&token=S3CRET",
    ]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    words = ["--from-file", tmp_path / "list.txt", "--output", tmp_path / "out", "--part-size", 1, "--workers", 2]
    result = predict(*words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "fer-edge: 1 of 4 pictures could not be read"
    parts = sorted((tmp_path / "out").glob("part-*"))
    first, local, gone, last = (json.loads(part.read_text()) for part in parts)
    names = [first["path"], local["path"], gone["path"], last["path"]]
    assert names == [*listed[:3], f"http://{server}/picture?id=2&token=…"]
    assert first["faces"] == local["faces"] == last["faces"] != []
    assert "there is no such file" in gone["error"]
    everything = result.output + "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "S3CRET" not in everything


def test_a_folder_in_a_store(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for name in ("b.jpg", "sub/a.jpg", "notes.txt"):
        store.pipe_file(f"/shop/{name}", PORTRAIT.read_bytes())
    result = predict("memory://shop/", "--recursive", "--jsonl", "-", "--save", tmp_path / "album")
    assert result.exit_code == 0, result.stderr
    local = json.loads(predict(PORTRAIT, "--jsonl", "-").stdout)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found == [{"path": f"memory://shop/{name}", "faces": local["faces"]} for name in ("b.jpg", "sub/a.jpg")]
    assert "left out: 1 file that is no picture (.txt)" in result.stderr
    assert sorted(path.name for path in (tmp_path / "album").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["memory://empty/"], "cannot be listed: there is no such file or folder"),
        (["https://host/clip.mp4?id=1"], "is a video; copy it to this machine first"),
        (["rtsp://camera/1"], "for a camera or stream use fer-edge run --source"),
    ],
)
def test_what_is_no_picture(words: list[str], message: str) -> None:
    result = predict(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_several_pictures_travel_at_once(tmp_path: Path) -> None:
    """The first answer comes when the eighth is requested, and the records stay in their order."""
    arrived = threading.Barrier(AHEAD, timeout=LIMIT)

    def answer(_: str) -> bytes:
        arrived.wait()
        return http(PORTRAIT.read_bytes())

    with scripted(answer) as server:
        names = [f"http://127.0.0.1:{server.port}/{number}.jpg" for number in range(2 * AHEAD)]
        (tmp_path / "list.txt").write_text("\n".join(names))
        result = predict("--from-file", tmp_path / "list.txt", "--jsonl", "-")
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == names
