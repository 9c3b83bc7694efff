"""The last minutes, second by second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_edge.edge.types import EMOTIONS, Prediction

SECONDS = 300
"""How long it remembers."""


class History:
    """The mean scores of all faces in each of the last seconds; written by one thread, read by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: deque[dict[str, Any]] = deque(maxlen=SECONDS)
        self._second = -1
        self._frames = self._faces = 0
        self._sum = np.zeros(len(EMOTIONS))

    def add(self, time: float, predictions: Sequence[Prediction]) -> None:
        """A frame's predictions at `time`, seconds since the start."""
        if int(time) != self._second:
            self.finish()
            self._second = int(time)
        self._frames += 1
        self._faces += len(predictions)
        for prediction in predictions:
            self._sum += prediction.scores

    def finish(self) -> None:
        """Keep what there is of the second that has begun: a later one has, or none will."""
        if not self._frames:
            return
        scores = [round(float(each), 4) for each in self._sum / self._faces] if self._faces else None
        faces = round(self._faces / self._frames, 2)
        with self._lock:
            self._points.append({"second": self._second, "faces": faces, "scores": scores})
        self._frames = self._faces = 0
        self._sum[:] = 0

    def since(self, second: int) -> list[dict[str, Any]]:
        """The finished seconds after `second`: {second, faces: mean number, scores: seven means, or null}."""
        with self._lock:
            return [point for point in self._points if point["second"] > second]
