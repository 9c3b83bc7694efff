"""CPU time of a detector's frames beside that of one network invocation, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.contenders import Contender
from fer_edge.benchmarks.timing import ROUNDS, summary
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.types import Frame
from fer_edge.train.evaluation.intervals import ratio_interval

FRAMES_PER_ROUND = 6

INVOCATIONS_PER_ROUND = 20

MAX_ROUND = 300.0
"""CPU milliseconds after which a slow detector is not called again in a round."""


def measure_times(
    contenders: Sequence[Contender], frames: Sequence[NDArray[np.uint8]], network: TFLiteClassifier
) -> list[list[dict[str, Any]]]:
    """Measure detectors and a network in turns.

    Args:
        contenders: The detectors.
        frames: (H, W, 3) uint8 BGR, one for each frame size.
        network: The expression network whose invocation is the unit.

    Returns:
        For each detector a row per frame: its size, CPU milliseconds, and their ratio to the network's invocation with
        the 95 % interval over the rounds.
    """
    blank = np.zeros(network.input.shape, network.input.dtype)
    calls: dict[tuple[int, int], Callable[[], object]] = {
        (number, index): (lambda contender=contender, frame=frame: contender.detector.detect(Frame(frame)))  # type: ignore[misc]
        for number, contender in enumerate(contenders)
        for index, frame in enumerate(frames)
    }
    times: dict[tuple[int, int], list[list[float]]] = {key: [] for key in calls}
    invocations: list[list[float]] = []
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        invocations.append(_cpu_times(lambda: network.interpreter.run(blank), INVOCATIONS_PER_ROUND))
        for key, call in calls.items():
            times[key].append(_cpu_times(call, FRAMES_PER_ROUND))
    unit = [float(np.median(each)) for each in invocations]
    return [
        [_row(frame, times[number, index], unit, invocations) for index, frame in enumerate(frames)]
        for number in range(len(contenders))
    ]


def _row(
    frame: NDArray[np.uint8], rounds: list[list[float]], unit: list[float], invocations: list[list[float]]
) -> dict[str, Any]:
    medians = [float(np.median(each)) for each in rounds]
    low, high = ratio_interval(medians, unit, paired=True)
    return {
        "width": frame.shape[1],
        "height": frame.shape[0],
        "cpu_ms": summary(np.concatenate(rounds)),
        "invocation_ms": summary(np.concatenate(invocations)),
        "ratio": round(float(np.median(medians) / np.median(unit)), 3),
        "ratio_interval": [round(low, 3), round(high, 3)],
    }


def _cpu_times(call: Callable[[], object], count: int) -> list[float]:
    """CPU milliseconds of all threads of this process, per call."""
    times: list[float] = []
    while len(times) < count and sum(times) < MAX_ROUND:
        start = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - start) / 1e6)
    return times
