"""Smoothing of a track's scores over time, with a time constant in seconds, not in frames."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import total_variation

CHANGE_DISTANCE = 0.5
"""Total variation distance, 0..1, of the new scores from the smoothed ones that counts as another expression."""

AGREEMENT_DISTANCE = 0.25
"""Total variation distance, 0..1, below which the scores of two frames in a row agree: a change, not flicker."""


@dataclass
class _State:
    smoothed: NDArray[np.float32]
    latest: NDArray[np.float32]
    time: float


class Smoother:
    """A first-order low-pass filter per track, which jumps when two frames in a row agree on another expression.

    So flicker is smoothed, and a sudden smile shows one frame late, but at once in full.

    Attributes:
        time_constant: Seconds after which a step has reached 63 %, unless it jumps (see `CHANGE_DISTANCE`); 0 is off.
    """

    def __init__(self, time_constant: float) -> None:
        self.time_constant = time_constant
        self._states: dict[int, _State] = {}

    def update(self, track: int, scores: NDArray[np.float32], time: float) -> NDArray[np.float32]:
        """Smooth the scores of one face.

        Args:
            track: The face's track number.
            scores: (C,) float32 scores of this frame.
            time: The frame's time in seconds; where it goes back, the track starts over.

        Returns:
            (C,) float32 smoothed scores; like the input they sum to 1.
        """
        state = self._states.get(track)
        if state is None or time < state.time or _expression_changed(scores, state):
            smoothed = scores
        else:
            share = 1.0 if self.time_constant <= 0 else 1 - math.exp(-(time - state.time) / self.time_constant)
            smoothed = state.smoothed + np.float32(share) * (scores - state.smoothed)
        self._states[track] = _State(smoothed, scores, time)
        return smoothed

    def retain(self, tracks: Collection[int]) -> None:
        """Forget all tracks but these."""
        self._states = {track: state for track, state in self._states.items() if track in tracks}


def _expression_changed(scores: NDArray[np.float32], state: _State) -> bool:
    changed = total_variation(scores, state.smoothed) > CHANGE_DISTANCE
    return changed and total_variation(scores, state.latest) < AGREEMENT_DISTANCE
