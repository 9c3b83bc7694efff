"""Live sources that are lost and come back: real HTTP and RTSP servers, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from logs import logged
from network_camera import free_port, serving
from running import start
from waiting import LIMIT, until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.reconnecting import ReconnectingSource
from fer_edge.edge.types import Frame

SILENCE = 30.0
"""Seconds that a server under load has for its first picture; one that was killed is noticed at once."""


class Watched:
    """A source iterated in a thread: frames are kept without their pixels, and so is what it tells."""

    def __init__(self, source: Source) -> None:
        self.seen: list[tuple[int, float]] = []
        self.error: SourceError | None = None
        self._thread = threading.Thread(target=self._watch, args=(source,))
        self._thread.start()

    def _watch(self, source: Source) -> None:
        try:
            for frame in source:
                self.seen.append((frame.index, frame.time))
        except SourceError as error:
            self.error = error

    def ended(self) -> bool:
        self._thread.join(LIMIT)
        return not self._thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "path"), [("http", "live"), ("rtsp", "live"), ("rtsp", "h264")])
def test_a_server_that_was_restarted(messages: list[str], scheme: str, path: str) -> None:
    port = free_port()
    with serving(scheme, port, path=path) as address:
        source = open_source(SourceOptions(source=address, frame_timeout=SILENCE))
        watched = Watched(source)
        until(lambda: len(watched.seen) >= 5)
        assert source.disconnected == 0
    until(lambda: source.disconnected > 0.1)
    before = len(watched.seen)
    with serving(scheme, port, path=path):
        until(lambda: len(watched.seen) >= before + 5)
        assert source.disconnected == 0
        source.stop()
        assert watched.ended()
        source.close()
    assert watched.error is None
    assert all(b > a for (a, _), (b, _) in pairwise(watched.seen))
    assert all(b > a for (_, a), (_, b) in pairwise(watched.seen))
    assert watched.seen[-1][0] - watched.seen[0][0] + 1 - len(watched.seen) <= source.dropped  # through both
    lost, back = messages
    assert lost.startswith("source: lost: ")
    assert back.startswith("source: back after ")


@pytest.mark.slow
def test_the_reconnect_timeout_ends_it(messages: list[str]) -> None:
    with serving("http", free_port()) as address:
        source = open_source(SourceOptions(source=address, frame_timeout=SILENCE, reconnect_timeout=1))
        watched = Watched(source)
        until(lambda: len(watched.seen) >= 3)
    assert watched.ended()
    source.close()
    assert watched.error is not None
    assert "lost and not back after 1 s" in str(watched.error)
    assert len(messages) == 1


def test_stopping_ends_the_wait_and_its_threads() -> None:
    with serving("http", free_port()) as address:
        source = open_source(SourceOptions(source=address, frame_timeout=SILENCE))
        watched = Watched(source)
        until(lambda: len(watched.seen) >= 3)
    until(lambda: source.disconnected > 0.1)
    source.stop()
    assert watched.ended()
    assert watched.error is None
    source.close()
    assert isinstance(source, NewestFrameReader)
    until(lambda: not source._thread.is_alive())


@pytest.mark.parametrize("path", ["live", "h264"])
def test_rtsp_password_is_used_and_not_shown(path: str) -> None:
    with serving("rtsp", free_port(), "maker:S3CRET", path=path) as address:
        with_login = address.replace("//", "//maker:S3CRET@")
        with open_source(SourceOptions(source=with_login, frame_timeout=SILENCE)) as source:
            pixels = next(iter(source)).pixels
            assert pixels.shape == (120, 160, 3)
            assert pixels.min() < 32 < 224 < pixels.max()  # a white ball on black
            assert source.name == address
        with pytest.raises(SourceError, match="password right") as refused:
            open_source(SourceOptions(source=with_login.replace("S3CRET", "WR0NG"), frame_timeout=SILENCE))
        assert "WR0NG" not in str(refused.value)


class Numbered(BaseSource):
    """A camera that gives `count` frames at each opening."""

    live = True
    name = "numbered"

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(pixels=None, index=index, time=index / 30)  # type: ignore[arg-type]
        raise SourceError("numbered stopped")


def test_reconnecting_counts_through_and_tries_until_it_opens(
    messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.FIRST_PAUSE", 0.001)
    openings: list[int | None] = [None, 0, 2, 1]  # not there; there without a picture; there again; there once more

    def again() -> Source:
        if not openings:
            lasting.stop()
            raise SourceError("gone for good")
        count = openings.pop(0)
        if count is None:
            raise SourceError("not there")
        return Numbered(count)

    lasting = ReconnectingSource(Numbered(3), again, reconnect_timeout=60, longest=0.01)
    frames = list(lasting)
    assert [frame.index for frame in frames] == list(range(6))
    assert [line.split()[1] for line in messages] == ["lost:", "back", "lost:", "back", "lost:"]


def test_one_that_was_stopped_is_not_lost(messages: list[str]) -> None:
    lasting = ReconnectingSource(Numbered(2), lambda: pytest.fail("opened again"), reconnect_timeout=60, longest=1)
    for _ in lasting:
        lasting.stop()
    assert messages == []


def test_it_is_disconnected_until_its_picture_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever waits for a picture could give up on a camera that is just coming back."""
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.FIRST_PAUSE", 0.001)
    told = list[tuple[str, bool]]()

    def note(line: str) -> None:
        told.append((line.split()[1], lasting.disconnected > 0))

    lasting = ReconnectingSource(Numbered(1), lambda: Numbered(2), reconnect_timeout=60, longest=0.01)
    with logged(also=note):
        seen = [(frame.index, lasting.disconnected > 0) for frame in islice(lasting, 3)]
    assert seen == [(0, False), (1, True), (2, False)]
    assert told == [("lost:", True), ("back", False)]


@pytest.mark.parametrize("count", [0, 2])
def test_without_reconnecting_it_ends_as_the_source_does(count: int) -> None:
    lasting = ReconnectingSource(Numbered(count), lambda: pytest.fail("opened again"), reconnect_timeout=0, longest=1)
    with pytest.raises(SourceError, match="numbered stopped"):
        list(lasting)


def records(path: Path) -> list[dict[str, Any]]:
    """The whole lines written so far."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_run_goes_on_and_ends_while_it_waits(tmp_path: Path) -> None:
    """Lost, back, lost again; SIGTERM while waiting ends it with exit code 0 and whole files."""
    port, lines, video = free_port(), tmp_path / "o.jsonl", tmp_path / "v.avi"
    with serving("http", port) as address:
        process = start("--show", "none", "--source", address, "--jsonl", lines, "--save-video", video)
        try:
            until(lambda: len(records(lines)) >= 12 or process.poll() is not None)
        except BaseException:
            process.kill()
            raise
    try:
        assert process.poll() is None, process.communicate()[1]
        assert process.stderr is not None
        while not process.stderr.readline().startswith("source: lost"):
            assert process.poll() is None
        before = len(records(lines))
        with serving("http", port):
            until(lambda: len(records(lines)) >= before + 5)
            assert process.stderr.readline().startswith("source: back after")
        assert process.stderr.readline().startswith("source: lost")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    seen = records(lines)
    assert f"{len(seen)} frames, " in errors
    assert all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(seen))
    assert sorted(os.listdir(tmp_path)) == ["o.jsonl", "v.avi"]


@pytest.mark.slow
def test_the_duration_ends_while_the_run_waits(tmp_path: Path) -> None:
    with serving("http", free_port()) as address:
        process = start("--show", "none", "--source", address, "--jsonl", tmp_path / "o.jsonl", "--duration", "4")
        try:
            until(lambda: records(tmp_path / "o.jsonl") or process.poll() is not None)
        except BaseException:
            process.kill()
            raise
    try:
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "; reconnecting" in errors
