"""Auto-reconnect, with real HTTP and RTSP servers that are killed and restarted."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from logs import logged
from network_camera import free_port, serving
from running import start
from waiting import LIMIT, until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.reconnecting import SHORT_PAUSE, ReconnectingSource
from fer_edge.edge.types import Frame, Source

FRAME_TIMEOUT = 30.0
"""Seconds that a server under load has for its first picture; one that was killed is noticed at once."""


class ReaderThread:
    """A source iterated in a thread, which keeps each frame's index and time, and the error."""

    def __init__(self, source: Source) -> None:
        self.frames: list[tuple[int, float]] = []
        self.error: SourceError | None = None
        self._thread = threading.Thread(target=self._read, args=(source,))
        self._thread.start()

    def _read(self, source: Source) -> None:
        try:
            for frame in source:
                self.frames.append((frame.index, frame.time))
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
        source = open_source(SourceOptions(source=address, frame_timeout=FRAME_TIMEOUT))
        reader = ReaderThread(source)
        until(lambda: len(reader.frames) >= 5)
        assert source.disconnected == 0
    until(lambda: source.disconnected > 0.1)
    before = len(reader.frames)
    with serving(scheme, port, path=path):
        until(lambda: len(reader.frames) >= before + 5)
        assert source.disconnected == 0
        source.stop()
        assert reader.ended()
        source.close()
    assert reader.error is None
    assert all(b > a for (a, _), (b, _) in pairwise(reader.frames))
    assert all(b > a for (_, a), (_, b) in pairwise(reader.frames))
    assert reader.frames[-1][0] - reader.frames[0][0] + 1 - len(reader.frames) <= source.dropped  # through both
    lost, back = messages
    assert lost.startswith("source: lost: ")
    assert back.startswith("source: back after ")


@pytest.mark.slow
def test_the_reconnect_timeout_ends_the_iteration(messages: list[str]) -> None:
    with serving("http", free_port()) as address:
        source = open_source(SourceOptions(source=address, frame_timeout=FRAME_TIMEOUT, reconnect_timeout=1))
        reader = ReaderThread(source)
        until(lambda: len(reader.frames) >= 3)
    assert reader.ended()
    source.close()
    assert reader.error is not None
    assert "lost and not back after 1 s" in str(reader.error)
    assert len(messages) == 1


def test_stopping_ends_reconnecting_and_its_thread() -> None:
    with serving("http", free_port()) as address:
        source = open_source(SourceOptions(source=address, frame_timeout=FRAME_TIMEOUT))
        reader = ReaderThread(source)
        until(lambda: len(reader.frames) >= 3)
    until(lambda: source.disconnected > 0.1)
    source.stop()
    assert reader.ended()
    assert reader.error is None
    source.close()
    until(lambda: f"reader of {source.name}" not in {thread.name for thread in threading.enumerate()})


@pytest.mark.slow
@pytest.mark.parametrize("path", ["live", "h264"])
def test_an_rtsp_password_is_used_and_not_shown(path: str) -> None:
    with serving("rtsp", free_port(), "maker:S3CRET", path=path) as address:
        with_login = address.replace("//", "//maker:S3CRET@")
        with open_source(SourceOptions(source=with_login, frame_timeout=FRAME_TIMEOUT)) as source:
            pixels = next(iter(source)).pixels
            assert pixels.shape == (120, 160, 3)
            assert pixels.min() < 32 < 224 < pixels.max()  # a white ball on black
            assert source.name == address
        with pytest.raises(SourceError, match="password right") as refused:
            open_source(SourceOptions(source=with_login.replace("S3CRET", "WR0NG"), frame_timeout=FRAME_TIMEOUT))
        assert "WR0NG" not in str(refused.value)


class FakeCamera(BaseSource):
    """A camera that yields `count` frames and is lost."""

    live = True
    name = "fake camera"

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(np.zeros((2, 2), np.uint8), index, index / 30)
        raise SourceError("fake camera stopped")


def test_indices_rise_through_all_connections(messages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.FIRST_PAUSE", 0.001)
    openings: list[int | None] = [None, 0, 2, 1]  # not there; there without a picture; there again; there once more

    def reopen() -> Source:
        if not openings:
            reconnecting.stop()
            raise SourceError("gone for good")
        count = openings.pop(0)
        if count is None:
            raise SourceError("not there")
        return FakeCamera(count)

    reconnecting = ReconnectingSource(FakeCamera(3), reopen, reconnect_timeout=60, max_pause=0.01)
    frames = list(reconnecting)
    assert [frame.index for frame in frames] == list(range(6))
    assert [line.split()[1] for line in messages] == ["lost:", "back", "lost:", "back", "lost:"]


class Clock:
    """Time that passes while a fake camera films and while the source pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.away = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.away += seconds
        return False


@pytest.mark.faults
@pytest.mark.parametrize(
    ("frames", "rate", "most_away"), [(150, 25, 0.1), (30, 25, 0.35), (3, 25, 0.95), (1, 25, 0.99)]
)
def test_a_stream_that_keeps_coming_back_is_hardly_away(
    monkeypatch: pytest.MonkeyPatch, messages: list[str], frames: int, rate: float, most_away: float
) -> None:
    """It gives pictures for six seconds, or one, or hardly any, and is lost, for an hour."""
    clock = Clock()
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.time", clock)

    class Flapping(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                clock.now += 1 / rate
                yield frame

    reconnecting = ReconnectingSource(Flapping(frames), lambda: Flapping(frames), 3600, max_pause=30)
    monkeypatch.setattr(reconnecting, "_stopped", SimpleNamespace(wait=clock.wait, is_set=lambda: clock.now > 3600))
    count = sum(1 for _ in reconnecting)
    assert clock.away < most_away * clock.now
    assert count > 3600 / (SHORT_PAUSE * 1.25 + frames / rate)  # at least a picture in each of the longest pauses
    assert len(messages) < 2 * 5 * 61 + 10  # five losses a minute, each with its end
    assert any("more times" in line for line in messages)


@pytest.mark.faults
def test_the_pauses_grow_while_it_stays_away_and_are_not_the_same_everywhere(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    pauses = list[list[float]]()
    for _ in range(2):
        clock = Clock()
        monkeypatch.setattr("fer_edge.edge.sources.reconnecting.time", clock)
        waits = list[float]()

        def wait(seconds: float, clock: Clock = clock, waits: list[float] = waits) -> bool:
            waits.append(seconds)
            return clock.wait(seconds)

        def reopen() -> Source:
            raise SourceError("connection refused")

        reconnecting = ReconnectingSource(FakeCamera(1), reopen, 600, max_pause=30)
        monkeypatch.setattr(reconnecting, "_stopped", SimpleNamespace(wait=wait, is_set=lambda: False))
        with pytest.raises(SourceError, match="not back after 600 s: connection refused"):
            list(reconnecting)
        assert reconnecting.disconnect_reason == "connection refused"
        pauses.append(waits)
    assert pauses[0] != pauses[1]
    assert pauses[0][0] < 1 and max(pauses[0]) < 30 * 1.25 + 0.01 and sum(pauses[0]) == pytest.approx(600)
    assert len(pauses[0]) < 40
    assert [line.split()[1] for line in messages] == ["lost:", "still"] * 2
    assert "connection refused" in messages[1]


def test_a_source_that_was_stopped_is_not_lost(messages: list[str]) -> None:
    reconnecting = ReconnectingSource(
        FakeCamera(2), lambda: pytest.fail("opened again"), reconnect_timeout=60, max_pause=1
    )
    for _ in reconnecting:
        reconnecting.stop()
    assert messages == []


def test_it_is_disconnected_until_its_frame_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a reader that waits for a frame could give up on a camera that is just coming back."""
    monkeypatch.setattr("fer_edge.edge.sources.reconnecting.FIRST_PAUSE", 0.001)
    reports = list[tuple[str, bool]]()

    def note(line: str) -> None:
        reports.append((line.split()[1], reconnecting.disconnected > 0))

    reconnecting = ReconnectingSource(FakeCamera(1), lambda: FakeCamera(2), reconnect_timeout=60, max_pause=0.01)
    with logged(also=note):
        frames = [(frame.index, reconnecting.disconnected > 0) for frame in islice(reconnecting, 3)]
    assert frames == [(0, False), (1, True), (2, False)]
    assert reports == [("lost:", True), ("back", False)]


@pytest.mark.parametrize("count", [0, 2])
def test_without_reconnecting_it_raises_the_error_of_the_source(count: int) -> None:
    reconnecting = ReconnectingSource(
        FakeCamera(count), lambda: pytest.fail("opened again"), reconnect_timeout=0, max_pause=1
    )
    with pytest.raises(SourceError, match="fake camera stopped"):
        list(reconnecting)


def records(path: Path) -> list[dict[str, Any]]:
    """The whole lines written so far."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_run_continues_after_reconnecting_and_ends_cleanly_while_it_waits(tmp_path: Path) -> None:
    """Lost, back, lost again; SIGTERM while waiting ends it with exit code 0 and complete files."""
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
    written = records(lines)
    assert f"{len(written)} frames, " in errors
    assert all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(written))
    assert sorted(os.listdir(tmp_path)) == ["o.jsonl", "v.avi"]


@pytest.mark.slow
def test_the_duration_ends_a_run_that_is_reconnecting(tmp_path: Path) -> None:
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
