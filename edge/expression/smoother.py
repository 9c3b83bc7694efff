"""Scores steadied over time, by a time constant in seconds and not in frames."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import total_variation

TIME_CONSTANT = 0.3
"""Time constant: after so long 63 % of a lasting change are shown, were it not for `CHANGED`."""

CHANGED = 0.5
"""Total variation distance, 0..1, between shown and seen scores from which a face may have changed its expression."""

AGREED = 0.25
"""Total variation distance up to which two frames in a row say the same: a change, no flicker."""


@dataclass
class _State:
    shown: NDArray[np.float32]
    seen: NDArray[np.float32]
    time: float


class Smoother:
    """A low-pass filter of first order for each track, which jumps where two frames in a row agree on another answer.

    So an unsteady face is steadied, and a sudden smile is shown one frame late and whole.
    """

    def __init__(self, seconds: float = TIME_CONSTANT) -> None:
        self.seconds = seconds
        self._states: dict[int, _State] = {}

    def update(self, track: int, scores: NDArray[np.float32], time: float) -> NDArray[np.float32]:
        """(7,) scores of a track's face at a time in seconds, to what is shown of them; both sum to 1."""
        state = self._states.get(track)
        if state is None or time < state.time or _changed(scores, state):
            shown = scores
        else:
            share = 1.0 if self.seconds <= 0 else 1 - math.exp(-(time - state.time) / self.seconds)
            shown = state.shown + np.float32(share) * (scores - state.shown)
        self._states[track] = _State(shown, scores, time)
        return shown

    def keep(self, tracks: Collection[int]) -> None:
        """Forget every other track."""
        self._states = {track: state for track, state in self._states.items() if track in tracks}


def _changed(scores: NDArray[np.float32], state: _State) -> bool:
    return total_variation(scores, state.shown) > CHANGED and total_variation(scores, state.seen) < AGREED
