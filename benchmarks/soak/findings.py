"""What the samples of a soak show: growth of memory, lost descriptors and threads, slower frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fer_edge.benchmarks.soak.sample import Sample, percentile

WARM_UP = 0.1
"""Share of the frames after which memory is expected to be level."""

MIN_FRAMES, MIN_SAMPLES = 100_000, 20
"""Frames and, after the warm-up, samples from which growth is told apart from noise."""

MAX_GROWTH = 1.0
"""MB of resident memory per 100,000 frames."""

MAX_DRIFT = 1.25
"""The last third's p99 of a frame's time, divided by the first third's: what neighbouring buckets differ by."""


@dataclass(frozen=True)
class Finding:
    """One property that a long run must have.

    Attributes:
        name: Of the property, with its unit.
        value: As measured; None where there were too few frames or samples.
        bound: The highest value that is accepted.
    """

    name: str
    value: float | None
    bound: float

    @property
    def met(self) -> bool | None:
        """Whether the value is accepted; None where there is none."""
        return None if self.value is None else self.value <= self.bound


def findings(samples: Sequence[Sample]) -> list[Finding]:
    """What the samples after the warm-up show.

    Args:
        samples: Of one run, in order.

    Returns:
        Growth of resident memory; the difference between the highest number of descriptors and of threads in the last
        third and in the first third, as both vary while viewers come and go; and the drift of p99.
    """
    frames = samples[-1].frames if samples else 0
    level = [sample for sample in samples if sample.frames >= WARM_UP * frames]
    enough = frames >= MIN_FRAMES and len(level) >= MIN_SAMPLES
    third = max(1, len(level) // 3)
    first, last = level[:third], level[-third:]

    def added(values: Sequence[int], earlier: Sequence[int]) -> float:
        return float(max(values) - max(earlier))

    return [
        Finding("resident memory, MB per 100,000 frames", growth(level) if enough else None, MAX_GROWTH),
        Finding(
            "descriptors, last third minus first third",
            added([each.descriptors for each in last], [each.descriptors for each in first]) if enough else None,
            0,
        ),
        Finding(
            "threads, last third minus first third",
            added([each.threads for each in last], [each.threads for each in first]) if enough else None,
            0,
        ),
        Finding("p99 of a frame's time, last third / first third", drift(first, last) if enough else None, MAX_DRIFT),
    ]


def growth(samples: Sequence[Sample]) -> float:
    """Least-squares slope of resident memory over frames, MB per 100,000 frames."""
    frames = np.array([sample.frames for sample in samples], float)
    megabytes = np.array([sample.resident_mib for sample in samples]) * 2**20 / 1e6
    slope = np.polyfit(frames - frames.mean(), megabytes, 1)[0]
    return round(float(slope) * 1e5, 4)


def drift(first: Sequence[Sample], last: Sequence[Sample]) -> float | None:
    """The later samples' p99 of a frame's time divided by the earlier samples'; None without frames in either."""
    early = percentile(first[0].buckets, first[-1].buckets, 0.99)
    late = percentile(last[0].buckets, last[-1].buckets, 0.99)
    return round(late / early, 3) if early and late else None


def p99_curve(samples: Sequence[Sample]) -> list[tuple[int, float]]:
    """Frames so far and the 99th percentile of a frame's time since the sample before, milliseconds."""
    curve = []
    for before, after in pairwise(samples):
        seconds = percentile(before.buckets, after.buckets, 0.99)
        if seconds is not None:
            curve.append((after.frames, round(1000 * seconds, 3)))
    return curve
