"""Score cache: reuse a track's scores while its crop hardly changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.model_input import Crops
from fer_edge.edge.expression.scores import total_variation
from fer_edge.edge.expression.smoother import AGREEMENT_DISTANCE
from fer_edge.edge.preprocess import FaceCrops

MAX_AGE = 0.2
"""Seconds after which a face is classified again even if its crop has not changed."""

GRID = 6
"""Cells across and down in which crops are compared, of 8 px each."""


@dataclass(frozen=True)
class _Entry:
    """The scores of a track with the crop that gave them, the crop's standard deviation, and its time in seconds.

    confirmed: whether two classifications in a row agreed; others are not reused.
    """

    crop: NDArray[np.uint8]
    time: float
    deviation: float
    scores: NDArray[np.float32]
    confirmed: bool

    def is_valid_for(self, crop: NDArray[np.uint8], time: float, threshold: float) -> bool:
        """Whether the scores may be reused for a crop at a time in seconds."""
        recent = self.confirmed and 0 <= time - self.time < MAX_AGE
        return recent and difference(crop, self.crop) < threshold * self.deviation


class ScoreCache:
    """The scores of tracked faces; only faces that are new, have changed or are too old go through the classifier.

    A crop is compared with the last one that was classified, not with the frame before, so that slow changes add up.
    Scores are reused only after two classifications in a row agreed: a single wrong answer lasts one frame, as it would
    without the cache.

    Attributes:
        threshold: Largest difference of a crop from the one that was classified, in standard deviations of its gray
            values; 0 is off. It is the difference in the worst cell of a 6x6 grid, so that a moved corner of the mouth
            is not averaged away.

    The default of `PipelineOptions.cache_threshold`, 0.13, was measured with `fer-edge bench score-cache --data
    fer2013.csv` on 4000 pairs made from 1000 of PublicTest's pictures (some shift, rotation, scale, brightness and
    noise): where they differ by less, the ensemble's scores are 0.015 apart (total variation, mean), and 2 answers of
    100 change, half of them between classes less than 0.035 apart; beyond 0.5 they are 0.04 apart and 6 of 100.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._entries: dict[int, _Entry] = {}

    def scores(self, classifier: Classifier, tracks: Sequence[int], crops: Crops, time: float) -> NDArray[np.float32]:
        """Score faces, from the cache or with one call of the classifier.

        Args:
            classifier: Classifies the faces that are not cached.
            tracks: (N,) track numbers.
            crops: N faces, which are compared by their gray crops.
            time: The frame's time in seconds.

        Returns:
            (N, C) float32 probabilities.
        """
        gray = crops.gray if isinstance(crops, FaceCrops) else crops  # (N, 48, 48)
        missing = [
            index
            for index, (track, crop) in enumerate(zip(tracks, gray, strict=True))
            if track not in self._entries or not self._entries[track].is_valid_for(crop, time, self.threshold)
        ]
        if missing:
            for index, row in zip(missing, classifier(crops[missing]), strict=True):
                _, deviation = cv2.meanStdDev(gray[index])
                before = self._entries.get(tracks[index])
                confirmed = before is not None and total_variation(row, before.scores) < AGREEMENT_DISTANCE
                self._entries[tracks[index]] = _Entry(gray[index], time, float(deviation[0, 0]), row, confirmed)
        return np.stack([self._entries[track].scores for track in tracks])

    def retain(self, tracks: Collection[int]) -> None:
        """Forget all tracks but these."""
        self._entries = {track: entry for track, entry in self._entries.items() if track in tracks}


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean absolute difference of two (48, 48) crops in the grid cell where it is largest, in gray levels."""
    cells = cv2.resize(cv2.absdiff(one, other), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return float(cells.max())
