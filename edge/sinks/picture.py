"""Annotated pictures, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError, printable
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.output_paths import check_replaceable
from fer_edge.edge.types import Frame, Prediction


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture in the format of its suffix, replacing the file only when all of it is written.

    Args:
        path: Where to.
        pixels: (H, W, 3) uint8 BGR.

    Raises:
        SinkError: OpenCV does not know the format, or the file cannot be written.
    """
    try:
        done, data = cv2.imencode(printable(path.suffix), pixels)
    except cv2.error:
        done = False
    if not done:
        raise SinkError(f"{path}: OpenCV cannot write a '{path.suffix}' picture; use .png or .jpg")
    write_bytes(path, data.tobytes(), private=True)


class PictureSink:
    """Keeps the last frame with a face and writes it, annotated, when closed.

    Raises:
        SinkError: The path's format is unknown, or its folder is not writable.
    """

    def __init__(self, path: Path) -> None:
        if not cv2.haveImageWriter(f"x{printable(path.suffix)}"):
            raise SinkError(f"{path}: OpenCV cannot write a '{path.suffix}' picture; use .png or .jpg")
        check_replaceable(path)
        self._path = path
        self._last: tuple[Frame, Sequence[Prediction]] | None = None

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        if predictions:
            self._last = (frame, predictions)

    def close(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            write_picture(self._path, annotate(*last))
