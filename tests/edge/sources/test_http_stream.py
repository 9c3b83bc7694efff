"""Network cameras over HTTP that behave badly: parts without a JPEG, wrong lengths, still pictures, no pictures."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice, pairwise, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_camera import jpegs
from scripted_server import MULTIPART, Answer, ScriptedServer, http, multipart, part, pictures, scripted
from waiting import LIMIT

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.http_stream import OtherMedia, open_http_source
from fer_edge.edge.sources.jpeg_scanner import JpegScanner
from fer_edge.edge.sources.network_trust import VERIFIED
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.types import Frame

JUNK = b"junk" * 500
COUNT = 12
PNG = cv2.imencode(".png", np.full((40, 60, 3), 7, np.uint8))[1].tobytes()
BOMB = jpegs()[0].replace(b"\x00\x11\x08\x00\xf0\x01\x40", b"\x00\x11\x08\xff\xff\xff\xff")
"""A JPEG whose header says 65535 x 65535."""


@contextmanager
def opened(
    *answers: Answer, timeout: float = LIMIT, fps: float | None = None
) -> Iterator[tuple[BaseSource, ScriptedServer]]:
    with scripted(*answers) as server:
        source = open_http_source(f"http://127.0.0.1:{server.port}/x", timeout, fps, MAX_PIXELS, VERIFIED)
        assert isinstance(source, BaseSource)
        try:
            yield source, server
        finally:
            source.close()


def read_all(address: str, timeout: float = LIMIT) -> list[Frame]:
    source = open_http_source(address, timeout, None, MAX_PIXELS, VERIFIED)
    assert isinstance(source, BaseSource)
    return list(source)


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield http(b"", MULTIPART, length=False, more="Transfer-Encoding: chunked\r\n")
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def mixed(*others: bytes) -> Iterator[bytes]:
    """A good part, then each of the others, again and again."""
    return multipart(chain.from_iterable((good, *others) for good in pictures(COUNT)))


STREAMS: dict[str, Iterable[bytes]] = {
    "well-made": multipart(pictures(COUNT)),
    "properly ended": multipart([*pictures(COUNT), b"--cut--\r\n"]),
    "empty parts": mixed(part(b"")),
    "empty parts without a length": mixed(part(b"", "Content-Type: image/jpeg\r\n")),
    "garbage, said to be JPEGs": mixed(part(JUNK), part(b"\xff\xd8\xff\xe0\x00\x10"), part(b"\xff\xd8\xff" * 9)),
    "text": mixed(part(b"The camera is busy\n", "Content-Type: text/plain\r\n")),
    "65535x65535 pixels": mixed(part(BOMB)),
    "JPEGs that are cut off": mixed(part(jpegs()[0][:2500]), part(jpegs()[0][:300])),
    "no boundary in the head": multipart(pictures(COUNT), "multipart/x-mixed-replace"),
    "another boundary": multipart(pictures(COUNT), 'multipart/x-mixed-replace; boundary="--other"'),
    "no boundary at all": multipart(b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n" for data in jpegs()[:COUNT]),
    "JPEGs only": multipart(jpegs()[:COUNT], "video/x-motion-jpeg"),
    "wrong type of the stream": multipart(pictures(COUNT), "text/plain"),
    "no length": multipart(part(data, "Content-Type: image/jpeg\r\n") for data in jpegs()[:COUNT]),
    "too short a length": multipart(part(data, "Content-Length: 100\r\n") for data in jpegs()[:COUNT]),
    "too large a length": multipart(part(data, "Content-Length: 4294967296\r\n") for data in jpegs()[:COUNT]),
    "negative length": multipart(part(data, "Content-Length: -1\r\n") for data in jpegs()[:COUNT]),
    "no number as length": multipart(part(data, "Content-Length: many\r\n") for data in jpegs()[:COUNT]),
    "chunked": chunked(pictures(COUNT)),
    "gzip": [
        http(gzip.compress(b"".join(pictures(COUNT))), MULTIPART, length=False, more="Content-Encoding: gzip\r\n")
    ],
    "in small pieces": multipart(
        bytes(piece) for data in pictures(COUNT) for piece in (data[:7], data[7:90], data[90:91], data[91:])
    ),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_goes_on_behind_what_is_no_jpeg(name: str) -> None:
    with opened(STREAMS[name]) as (source, _):
        frames = list(source)
        assert source.live
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert all(frame.size == (320, 240) for frame in frames)
    expected = cv2.imdecode(np.frombuffer(jpegs()[COUNT - 1], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(frames[-1].pixels, expected)


@pytest.mark.faults
def test_what_is_left_out_is_counted_and_logged(messages: list[str]) -> None:
    with opened(mixed(part(b""), part(JUNK), part(jpegs()[0][:2500]))) as (source, _):
        frames = list(source)
        assert len(frames) == COUNT
        assert source.dropped == 3 * (COUNT - 1)  # those behind the last picture do not count
    assert 1 <= len(messages) <= 3
    assert all("without a whole JPEG left out" in line for line in messages)


@pytest.mark.faults
@pytest.mark.parametrize(
    "parts",
    [
        lambda: repeat(part(JUNK)),
        lambda: repeat(part(b"")),
        lambda: repeat(b"\0" * 65536),
        lambda: chain([jpegs()[0][:2500]], repeat(b"\0" * 65536)),
        lambda: repeat(b"\xff\xd8\xff\xda" * 9999),
    ],
)
def test_a_stream_of_garbage_only_is_reported_and_takes_little_memory(parts: object) -> None:
    """Gigabytes, without end."""
    assert callable(parts)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match=r"sent no picture for 0\.5 s"), opened(multipart(parts()), timeout=0.5):
            pass
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.faults
def test_a_part_without_end_costs_the_stream_no_memory() -> None:
    """A part of 4 GB after a good one: the stream is lost after the timeout, and can be reconnected."""
    endless = chain(pictures(1), [b"--cut\r\nContent-Length: 4294967296\r\n\r\n"], repeat(b"\0" * 65536))
    with opened(multipart(endless), timeout=0.5) as (source, _), pytest.raises(SourceError, match="sent no picture"):
        list(source)


@pytest.mark.faults
def test_a_stream_that_trickles_is_lost_after_the_timeout() -> None:
    """Each byte comes in time, a picture does not."""

    def trickle(server_ended: list[ScriptedServer], data: bytes) -> Iterator[bytes]:
        for index in range(len(data)):
            yield data[index : index + 1]
            server_ended[0].ended.wait(0.05)

    for beginning, end in ((b"", b"".join(pictures(2))), (b"".join(pictures(1)), pictures(2)[1])):
        servers: list[ScriptedServer] = []
        head = http(b"", MULTIPART, length=False)
        for answer in (chain([head, beginning], trickle(servers, end)), trickle(servers, head)):
            with scripted(answer) as server:
                servers[:] = [server]
                with pytest.raises(SourceError, match=r"0\.5 s"):
                    read_all(f"http://127.0.0.1:{server.port}/", timeout=0.5)


@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([*jpegs()[:2], b"\xff\xd8\xff", b"--cut\r\n"]))))
def test_the_scanner_takes_any_bytes(pieces: list[bytes]) -> None:
    """All at once or byte by byte it finds the same, and what it finds has start and end."""
    whole = JpegScanner()
    found = list(whole.feed(b"".join(pieces)))
    piecewise = JpegScanner()
    assert [jpeg for piece in pieces for jpeg in piecewise.feed(piece)] == found
    assert piecewise.damaged == whole.damaged
    assert all(jpeg.startswith(b"\xff\xd8\xff") and jpeg.endswith(b"\xff\xd9") for jpeg in found)


def test_a_thumbnail_is_part_of_its_jpeg() -> None:
    small = jpegs()[1]
    with_thumbnail = jpegs()[0][:2] + b"\xff\xe1" + (2 + len(small)).to_bytes(2) + small + jpegs()[0][2:]
    assert list(JpegScanner().feed(with_thumbnail * 2)) == [with_thumbnail] * 2


# still pictures

STILL = {
    "a JPEG": http(jpegs()[0], "image/jpeg"),
    "a JPEG without a type": http(jpegs()[0], ""),
    "a JPEG as a page": http(jpegs()[0], "text/html"),
    "a JPEG without a length": http(jpegs()[0], "image/jpeg", length=False),
    "a PNG": http(PNG, "image/png"),
    "a PNG as a JPEG, without a length": http(PNG, "image/jpeg", length=False),
    "a PNG in small pieces": [http(b"", "", length=False), *(PNG[at : at + 1] for at in range(30)), PNG[30:]],
    "a BMP": http(cv2.imencode(".bmp", np.zeros((4, 6, 3), np.uint8))[1].tobytes(), "image/bmp"),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", STILL)
def test_a_still_picture_is_requested_again_and_again(name: str) -> None:
    """At the rate of --fps, each time in a connection of its own; one that never changes is as good."""
    with opened(STILL[name], fps=200) as (source, server):
        assert "still picture, requested 200 times/s" in source.name
        frames = list(islice(source, 5))
        assert len(server.requests) == 5
    assert [frame.index for frame in frames] == list(range(5))
    assert frames[0].pixels.shape[2] == 3
    assert all(b.time > a.time for a, b in pairwise(frames))


@pytest.mark.faults
def test_a_still_picture_whose_connection_stays_open_is_read() -> None:
    """Without a length, and without the end of the connection that would take its place."""
    servers: list[ScriptedServer] = []

    def answer(_: str) -> Iterable[bytes]:
        return chain([http(jpegs()[0], "image/jpeg", length=False)], servers[0].silence())

    with scripted(answer) as server:
        servers.append(server)
        source = open_http_source(f"http://127.0.0.1:{server.port}/", 1.0, 50, MAX_PIXELS, VERIFIED)
        assert isinstance(source, BaseSource)
        assert [frame.index for frame in islice(source, 4)] == [0, 1, 2, 3]


@pytest.mark.faults
def test_the_rate_of_requests_has_a_default_and_a_bound() -> None:
    for fps, rate in ((None, 2.0), (0.001, 0.2), (25.0, 25.0)):
        with opened(http(PNG, "image/png"), fps=fps) as (source, _):
            assert source.fps == rate


@pytest.mark.faults
def test_a_request_that_fails_is_repeated_until_the_timeout() -> None:
    """A camera that is busy now and then does not count as lost."""
    busy = http(b"busy", status="503 Service Unavailable")
    answers = [http(PNG, "image/png"), busy, http(jpegs()[0][:2000], "image/jpeg"), b"", http(PNG, "image/png"), busy]
    with opened(*answers, timeout=0.5, fps=100) as (source, _):
        frames = iter(source)
        assert [next(frames).index for _ in range(2)] == [0, 1]
        assert source.dropped == 3
        with pytest.raises(SourceError, match="503 Service Unavailable"):
            next(frames)


@pytest.mark.faults
def test_a_still_picture_is_said_to_be_one_and_read_through_auto_reconnect() -> None:
    with scripted(http(PNG, "image/png")) as server:
        address = f"http://127.0.0.1:{server.port}/snapshot.png"
        with open_source(SourceOptions(source=address, fps=100)) as source:
            assert source.name == f"{address} (still picture, requested 100 times/s)"
            assert source.live
            assert len(list(islice(source, 3))) == 3


@pytest.mark.faults
def test_a_stream_that_comes_back_as_a_recording_is_still_lost(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is read as fast as possible; it is no camera."""
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.FIRST_PAUSE", 0.01)
    recording = http(clip.read_bytes(), "video/x-msvideo")
    with scripted(multipart(pictures(3)), recording, recording, lambda _: multipart(pictures(3))) as server:
        address = f"http://127.0.0.1:{server.port}/x"
        with open_source(SourceOptions(source=address, frame_timeout=LIMIT)) as source:
            next(frame for frame in source if frame.index >= 3)
            assert len(server.requests) >= 4


@pytest.mark.faults
def test_a_camera_may_change_the_size_of_its_pictures() -> None:
    small = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    with opened(multipart([*pictures(3), part(small), *pictures(3), *[part(small)] * 9])) as (source, _):
        sizes = [frame.size for frame in source]
    assert sizes == [(320, 240)] * 6 + [(64, 48)] * 5


@pytest.mark.faults
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (http(b"<!DOCTYPE html><title>Camera", "text/html"), r"it is a page \(text/html\)"),
        (http(b"  <HTML>", ""), "it is a page"),
        (http(b'{"error": 1}', "application/json"), "sends application/json, in which FFmpeg finds no video"),
        (http(b"not here", "text/plain"), "sends text/plain, in which FFmpeg finds no video"),
        (http(b"", "image/jpeg"), "empty"),
        (http(b"", status="204 No Content"), "empty"),
        (http(b"no picture", "image/jpeg"), r"\(image/jpeg\) is not a whole picture"),
        (http(b"GIF89a" + bytes(100), "image/gif"), r"\(image/gif\) is not a whole picture"),
        (http(b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"), "is not a whole picture"),
        (http(b"Pf\n2 2\n-1.0\n" + bytes(16), "image/x-portable-floatmap"), "has floating-point pixels"),
        (http(jpegs()[0][:2000], "image/jpeg"), "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + jpegs()[0], "cut off"),
        (http(b"x", MULTIPART, more="Content-Encoding: br\r\n"), "compressed as 'br'"),
        (http(b"not gzip at all", MULTIPART, more="Content-Encoding: gzip\r\n"), "broke off"),
        (multipart([b"--cut--\r\n"]), "ended without a picture"),
        (http(BOMB, "image/jpeg"), "65535x65535 = 4294836225 pixels, more than --max-pixels"),
        (multipart([part(BOMB)]), "65535x65535 = 4294836225 pixels, more than --max-pixels"),
    ],
)
def test_what_is_no_picture_is_said(answer: Answer, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with scripted(answer) as server, pytest.raises(SourceError, match=message) as error:
        open_source(SourceOptions(source=f"http://me:S3CRET@127.0.0.1:{server.port}/x?key=S3CRET", frame_timeout=20))
    assert "S3CRET" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.faults
def test_a_server_that_says_nothing_after_its_head_is_reported() -> None:
    for head in (http(b"", MULTIPART, length=False), b"HTTP/1.1 200 OK\r\n", b""):
        servers: list[ScriptedServer] = []

        def answer(_: str, head: bytes = head, servers: list[ScriptedServer] = servers) -> Iterable[bytes]:
            return chain([head], servers[0].silence())

        with scripted(answer) as server:
            servers.append(server)
            with pytest.raises(SourceError, match=r"(sent nothing for|did not answer in) 0\.5 s"):
                read_all(f"http://127.0.0.1:{server.port}/", timeout=0.5)


@pytest.mark.parametrize(
    ("media_type", "body", "length", "recording"),
    [
        ("video/mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 900, False, False),
        ("video/mp2t", b"G" * 940, True, True),
        ("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXT-X-VERSION:3\n", True, False),
        ("application/dash+xml", b"<?xml version='1.0'?><MPD/>", True, False),
    ],
)
def test_a_video_over_http_is_left_to_ffmpeg(media_type: str, body: bytes, length: bool, recording: bool) -> None:
    with scripted(http(body, media_type, length=length)) as server:
        found = open_http_source(f"http://127.0.0.1:{server.port}/", LIMIT, None, MAX_PIXELS, VERIFIED)
    assert found == OtherMedia(media_type, recording)


def test_log_messages_have_no_password(messages: list[str]) -> None:
    with scripted(mixed(part(JUNK))) as server:
        read_all(f"http://me:S3CRET@127.0.0.1:{server.port}/")
    assert messages and not any("S3CRET" in line for line in messages)
