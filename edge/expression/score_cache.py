"""What the networks said of each face, kept while it looks the same: nobody is asked the same thing twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.scores import total_variation
from fer_edge.edge.expression.smoother import AGREED

CACHE_THRESHOLD = 0.13
"""How far a face may differ from the one that was asked about, in standard deviations of its gray values.

What counts is the worst of 6x6 squares, so that a corner of the mouth is not averaged away. Measured with
`fer-edge bench score-cache --data fer2013.csv` on 4000 pairs made from 1000 of PublicTest's pictures (some
shift, turn, size, light and noise): where they differ by less, the ensemble's scores are 0.015 apart (total
variation, mean), and 2 answers of 100 change, half of them between classes less than 0.035 apart; beyond 0.5 they are
0.04 apart and 6 of 100.
"""

SECONDS = 0.2
"""After so long a face is asked about again, whatever it looks like."""

SQUARES = 6
"""Squares across and down in which a change is looked for; of 8 px each."""


@dataclass(frozen=True)
class _Known:
    """The crop that was asked about, when, its contrast, what was said, and whether that was said twice in a row."""

    crop: NDArray[np.uint8]
    time: float
    deviation: float
    scores: NDArray[np.float32]
    confirmed: bool

    def answers(self, crop: NDArray[np.uint8], time: float, threshold: float) -> bool:
        """Whether what was said is still true of a crop."""
        recent = self.confirmed and 0 <= time - self.time < SECONDS
        return recent and difference(crop, self.crop) < threshold * self.deviation


class ScoreCache:
    """Scores of tracked faces; the classifier is asked only about those that are new, have changed, or are old news.

    A face is compared with the one that was asked about last, not with the frame before: slow changes are seen too.
    What was said once is not yet kept, so that a slip of the network lasts one frame, as it would without memory.
    threshold: how far a crop may differ from the one that was classified, as CACHE_THRESHOLD is; 0 turns the cache off.
    """

    def __init__(self, threshold: float = CACHE_THRESHOLD) -> None:
        self.threshold = threshold
        self._known: dict[int, _Known] = {}

    def scores(
        self, classifier: Classifier, tracks: Sequence[int], crops: NDArray[np.uint8], time: float
    ) -> NDArray[np.float32]:
        """(N,) tracks with their (N, 48, 48) uint8 crops at a time in seconds to (N, 7) float32 probabilities."""
        asked = [
            index
            for index, (track, crop) in enumerate(zip(tracks, crops, strict=True))
            if track not in self._known or not self._known[track].answers(crop, time, self.threshold)
        ]
        if asked:
            for index, row in zip(asked, classifier(crops[asked]), strict=True):
                _, deviation = cv2.meanStdDev(crops[index])
                before = self._known.get(tracks[index])
                confirmed = before is not None and total_variation(row, before.scores) < AGREED
                self._known[tracks[index]] = _Known(crops[index], time, float(deviation[0, 0]), row, confirmed)
        return np.stack([self._known[track].scores for track in tracks])

    def keep(self, tracks: Collection[int]) -> None:
        """Forget every other track."""
        self._known = {track: known for track, known in self._known.items() if track in tracks}


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean difference of two (48, 48) crops in the square where it is largest, in gray levels."""
    squares = cv2.resize(cv2.absdiff(one, other), (SQUARES, SQUARES), interpolation=cv2.INTER_AREA)
    return float(squares.max())
