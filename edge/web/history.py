"""Mean scores of the last minutes, second by second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.types import Prediction

HISTORY_SECONDS = 300
"""Length of the history."""


class History:
    """The mean scores of all faces in each of the last seconds; written by one thread, read by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: deque[dict[str, Any]] = deque(maxlen=HISTORY_SECONDS)
        self._second = -1
        self._frames = self._faces = 0
        self._sum: NDArray[np.floating] | None = None  # (C,)

    def add(self, time: float, predictions: Sequence[Prediction]) -> None:
        """Add a frame's predictions at `time`, seconds since the start."""
        if int(time) != self._second:
            self.flush()
            self._second = int(time)
        self._frames += 1
        self._faces += len(predictions)
        for prediction in predictions:
            self._sum = prediction.scores + (0.0 if self._sum is None else self._sum)

    def flush(self) -> None:
        """Store the second that is being summed up: the next one has begun, or no frame will come."""
        if not self._frames:
            return
        scores = None if self._sum is None else [round(float(score), 4) for score in self._sum / self._faces]
        faces = round(self._faces / self._frames, 2)
        with self._lock:
            self._points.append({"second": self._second, "faces": faces, "scores": scores})
        self._frames = self._faces = 0
        self._sum = None

    def since(self, second: int) -> list[dict[str, Any]]:
        """The whole seconds after `second`.

        Returns:
            A dictionary for each: `second` since the start, mean number of `faces` per frame, and `scores`: the means
            of the classes in the order of the model's, or None without a face.
        """
        with self._lock:
            newer = list(takewhile(lambda point: point["second"] > second, reversed(self._points)))
        return newer[::-1]
