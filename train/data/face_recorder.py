"""Faces of one class from a camera, as a data set: different ones, named after their session."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.sinks.album import marked_png, software_mark
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.face_crops import NO_FACE, TOO_SMALL, CropOptions, choose_faces

MARK = software_mark("fer-edge data record")

ALIKE = "too alike"
"""Why a face is not stored that shows nothing new."""

MIN_CHANGE = 0.2
"""Change, see `least_change`, from which a face shows something new.

Measured with the default detector on composed frames of 640x480 with noise, and the portrait (benchmarks/astronaut.jpg)
160 px wide. Of 300 frames, 24 are stored where the face holds still, 88 where it sways by some pixels and degrees, and
195 where it moves. Closed eyes change it by 0.58 and more, an open mouth by 0.96, tilts of up to 15 degrees by 0.67
(median).
"""

COMPARED = 30
"""Faces, the last ones, that a new one is compared with."""

GRID, SHIFT = 5, 2
"""Cells across and down in which faces are compared, of 8 px each, and pixels by which they are shifted for it."""


def least_change(face: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """How much a face differs from the one that is most like it, wherever the detector has put the crop.

    Args:
        face: (48, 48) uint8 gray.
        others: (N, 48, 48) uint8 gray, at least one.

    Returns:
        The mean absolute difference in the cell where it is largest, in standard deviations of the face, at the shift
        where it is smallest; the difference of the mean brightness does not count.
    """
    margin, side = (FACE_SIZE - 8 * GRID) // 2, 8 * GRID
    middle = face[margin : margin + side, margin : margin + side].astype(np.float32)
    least = np.inf
    for top in range(margin - SHIFT, margin + SHIFT + 1):
        for left in range(margin - SHIFT, margin + SHIFT + 1):
            difference = others[:, top : top + side, left : left + side] - middle  # (N, 40, 40)
            difference -= difference.mean(axis=(1, 2), keepdims=True)
            cells = np.abs(difference).reshape(-1, GRID, 8, GRID, 8).mean(axis=(2, 4))  # (N, 5, 5)
            least = min(least, float(cells.max(axis=(1, 2)).min()))
    return least / max(1.0, float(face.std()))


class FaceRecorder:
    """Stores the largest face of a frame where it differs from the last ones.

    Attributes:
        paths: The pictures that were stored.
        left_out: Numbers of frames of which none was, by reason.
        crowded: Number of frames with several faces.
    """

    def __init__(self, root: Path, folder: Path, options: CropOptions, least: int, now: datetime) -> None:
        """Begin a session.

        Args:
            root: FACES.
            folder: The class folder in it, such as awake or val/awake.
            options: How crops are stored.
            least: Width below which a face is too small, pixels.
            now: The time, which names the session's pictures: 20261201-151203_0001.png. Where such pictures are there
                already, it is the next second that has none.
        """
        self._folder, self._options, self._least = root / folder, options, least
        while any(root.rglob(f"{_name(now)}_*")):
            now += timedelta(seconds=1)
        self._session = _name(now)
        self._last: deque[NDArray[np.uint8]] = deque(maxlen=COMPARED)
        self.paths: list[Path] = []
        self.left_out: Counter[str] = Counter()
        self.crowded = 0

    def add(self, frame: Frame, faces: Sequence[Face]) -> bool:
        """Store the largest face, whole or not at all.

        Args:
            frame: The frame.
            faces: Its faces, largest first.

        Returns:
            Whether it was stored.

        Raises:
            SinkError: The file cannot be written.
        """
        chosen, reason, _ = choose_faces(faces, "largest", self._least)
        if not chosen:
            self.left_out[reason] += 1
            return False
        self.crowded += len(faces) > 1
        look = face_crop(frame, chosen[0], self._options.crop_margin)
        if self._last and least_change(look, np.stack(self._last)) < MIN_CHANGE:
            self.left_out[ALIKE] += 1
            return False
        path = self._folder / f"{self._session}_{len(self.paths) + 1:04d}.png"
        write_bytes(path, marked_png(self._options.crop(frame, chosen[0]), MARK), private=True)
        self._last.append(look)
        self.paths.append(path)
        return True

    def status(self) -> str:
        """What was recorded so far, in a line."""
        parts = [f"{len(self.paths)} recorded"]
        parts += [
            f"{self.left_out[reason]} {reason}" for reason in (ALIKE, NO_FACE, TOO_SMALL) if self.left_out[reason]
        ]
        return ", ".join(parts)


def _name(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}"
