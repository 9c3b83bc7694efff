"""Annotated pictures in a folder, named after the originals."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.paths import file_identity
from fer_edge.edge.files.writing import make_folder, write_bytes
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.types import Frame, Prediction

MAX_STEM_BYTES = 240
"""Longest name without number and suffix; file systems take 255 bytes in all."""

PNG_HEADER_BYTES = 33
"""Signature and IHDR, after which other chunks may stand."""


def software_mark(name: str) -> bytes:
    """The chunk of a PNG file that names the program that made it (https://www.w3.org/TR/png-3/#11keywords)."""
    chunk = b"tEXtSoftware\0" + name.encode("latin-1")
    return (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)


MARK = software_mark("fer-edge")
"""Marks an annotated picture of ours, which may be replaced; other pictures never are."""


def marked_png(pixels: NDArray[np.uint8], mark: bytes) -> bytes:
    """Encode a picture as PNG with a mark.

    Args:
        pixels: (H, W, 3) BGR or (H, W) gray uint8.
        mark: Made by `software_mark`.

    Returns:
        The file.

    Raises:
        SinkError: OpenCV cannot encode the picture.
    """
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise SinkError("OpenCV cannot encode a picture as PNG")
    png = data.tobytes()
    return png[:PNG_HEADER_BYTES] + mark + png[PNG_HEADER_BYTES:]


def has_mark(path: Path, mark: bytes) -> bool:
    """Whether a regular file is a PNG with that mark."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(PNG_HEADER_BYTES + len(mark)).endswith(mark)
    except OSError:
        return False


class Album:
    """Writes annotated PNG files. Only a file that an album wrote before is replaced, and none of this album's own."""

    def __init__(self, folder: Path) -> None:
        """Create the folder.

        Args:
            folder: The folder.

        Raises:
            SinkError: It cannot be created.
        """
        try:
            make_folder(folder, private=True)
        except OSError as error:
            raise SinkError(f"{folder} cannot be created: {error.strerror}") from None
        self._folder = folder
        self._written: set[tuple[int, int] | None] = set()

    def add(self, path: Path, frame: Frame, predictions: Sequence[Prediction]) -> None:
        """Write an annotated picture as NAME.png or, where that name is taken, as NAME_2.png and so on.

        Args:
            path: The original, which gives the name.
            frame: Its frame.
            predictions: Its faces.

        Raises:
            SinkError: The file cannot be written.
        """
        stem, number = path.stem, 1
        while len(os.fsencode(stem)) > MAX_STEM_BYTES:
            stem = stem[:-1]
        place = self._folder / f"{stem}.png"
        while not self._is_free(place):
            number += 1
            place = self._folder / f"{stem}_{number}.png"
        write_bytes(place, marked_png(annotate(frame, predictions), MARK), private=True)
        self._written.add(file_identity(place))

    def _is_free(self, place: Path) -> bool:
        """Whether there is no such file, or an annotated picture of an earlier run."""
        identity = file_identity(place)
        if identity is None:
            return not place.is_symlink()
        return identity not in self._written and has_mark(place, MARK)
