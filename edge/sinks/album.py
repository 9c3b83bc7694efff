"""Annotated pictures in a folder, named after the originals."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.paths import file_identity
from fer_edge.edge.files.writing import make_folder, write_bytes
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.types import Frame, Prediction

MAX_STEM_BYTES = 240
"""Longest name without number and suffix; file systems take 255 bytes in all."""

PNG_HEADER_BYTES = 33
"""Signature and IHDR, after which other chunks may stand."""


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (https://www.w3.org/TR/png-3/#5Chunk-layout)."""
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


MARK = _chunk(b"tEXt", b"Software\0fer-edge")
"""Marks an annotated picture of ours, which may be replaced; other pictures never are."""


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
        done, data = cv2.imencode(".png", annotate(frame, predictions))
        if not done:
            raise SinkError(f"{place}: OpenCV cannot encode the picture")
        png = data.tobytes()
        write_bytes(place, png[:PNG_HEADER_BYTES] + MARK + png[PNG_HEADER_BYTES:], private=True)
        self._written.add(file_identity(place))

    def _is_free(self, place: Path) -> bool:
        """Whether there is no such file, or an annotated picture of an earlier run."""
        identity = file_identity(place)
        if identity is None:
            return not place.is_symlink()
        if identity in self._written or not place.is_file():
            return False
        try:
            with place.open("rb") as file:
                return file.read(PNG_HEADER_BYTES + len(MARK)).endswith(MARK)
        except OSError:
            return False
