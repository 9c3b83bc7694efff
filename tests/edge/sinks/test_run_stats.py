"""Counts and stage times of a run: recent means, summary lines, observers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from predictions import face

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import run_stats
from fer_edge.edge.sinks.run_stats import RUN_STAGES, RunStats

STAGES = {"detect": 0.004, "track": 0.0, "crop": 0.001, "classify": 0.002, "smooth": 0.0}  # seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that RunStats reads, as the only item."""
    now = [100.0]
    monkeypatch.setattr(run_stats, "perf_counter", lambda: now[0])
    return now


def record(stats: RunStats, clock: list[float], count: int, faces: int = 1) -> None:
    """Frames at 10 frames/s, whose sinks take 3 ms."""
    for _ in range(count):
        clock[0] += 0.097
        with stats.record_frame([face("happy")] * faces, STAGES):
            clock[0] += 0.003


def test_frame_rate_and_means_are_of_the_last_seconds(clock: list[float]) -> None:
    stats = RunStats()
    assert stats.frames == 0
    record(stats, clock, 100)
    rate, means = stats.recent()
    assert rate == pytest.approx(10, abs=0.5)
    assert tuple(means) == RUN_STAGES
    assert means == pytest.approx({**STAGES, "sinks": 0.003})
    clock[0] += 60
    assert stats.recent() == (0, dict.fromkeys(RUN_STAGES, 0.0))


def test_the_summary_has_counts_rate_and_stage_times(clock: list[float]) -> None:
    stats = RunStats()
    assert list(stats.summary(dropped=0)) == ["0 frames, 0 faces, 0.0 frames/s, 0 frames dropped"]
    record(stats, clock, 50, faces=2)
    counts, times = stats.summary(dropped=7)
    assert counts == "50 frames, 100 faces, 10.0 frames/s, 7 frames dropped"
    assert "detect 4.0" in times and "sinks 3.0" in times


def test_a_summary_is_due_every_ten_seconds(clock: list[float]) -> None:
    stats, due = RunStats(), []
    for _ in range(250):
        record(stats, clock, 1)
        due.append(stats.summary_due())
    assert due.count(True) == 2 and due[:99].count(True) == 0


def test_observers_get_the_stage_times_even_when_a_sink_fails(clock: list[float]) -> None:
    stats = RunStats()
    frames: list[Mapping[str, float]] = []
    stats.observers.append(frames.append)
    record(stats, clock, 1)
    with pytest.raises(SinkError, match="full"), stats.record_frame([], STAGES):
        raise SinkError("the disk is full")
    assert frames[0] == pytest.approx({**STAGES, "sinks": 0.003})
    assert len(frames) == stats.frames == 2
