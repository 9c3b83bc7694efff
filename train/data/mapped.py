"""Faces in files that are mapped into memory: more of them than memory holds can be read, those in use at a time."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.writing import make_folder
from fer_edge.edge.preprocess import FACE_SIZE

FACE_BYTES = FACE_SIZE * FACE_SIZE

MEMORY_BYTES = 128 << 20
"""Faces that are collected in memory, up to 58,000 of them; more go to a temporary file."""

CHUNK = 1 << 12
"""Faces that are copied at once."""


class FaceCollector:
    """Collects faces whose number is not known: in memory, or in a temporary file without a name. `with` closes it."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: where the file is made; in the system's folder for temporary files where None."""
        self.folder, self.count = folder, 0
        self._stream: Any = io.BytesIO()

    def __enter__(self) -> FaceCollector:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def add(self, faces: NDArray[np.uint8]) -> None:
        """Add a (48, 48) uint8 face, or (N, 48, 48) of them; SinkError where the disk is full."""
        self.count += faces.size // FACE_BYTES
        try:
            if self.count * FACE_BYTES > MEMORY_BYTES and isinstance(self._stream, io.BytesIO):
                collected, self._stream = self._stream, tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  (closed by `with`)
                self._stream.write(collected.getbuffer())
            self._stream.write(np.ascontiguousarray(faces).data)
        except OSError as error:
            raise SinkError(
                f"{self.folder or tempfile.gettempdir()}: {self.count} faces of {FACE_BYTES} bytes cannot be stored: "
                f"{error.strerror or error}; free some space"
            ) from None

    def faces(self) -> NDArray[np.uint8]:
        """(N, 48, 48) uint8, read-only; of a file, they are mapped, and stay so after the collector is closed."""
        shape = (self.count, FACE_SIZE, FACE_SIZE)
        if isinstance(self._stream, io.BytesIO):
            return np.frombuffer(self._stream.getvalue(), np.uint8).reshape(shape)
        self._stream.flush()
        return np.memmap(self._stream, np.uint8, "r", shape=shape)


def mapped_rows(faces: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Some of the faces of a split.

    Args:
        faces: (N, 48, 48) uint8, in memory or mapped.
        mask: (N,) bool.

    Returns:
        The faces of the mask: the array itself where those are all; where mapped faces would take more than
        MEMORY_BYTES of memory, mapped from a temporary file beside theirs, else in memory.
    """
    if mask.all():
        return faces
    rows = np.flatnonzero(mask)
    if not isinstance(faces, np.memmap) or len(rows) * FACE_BYTES <= MEMORY_BYTES:
        return np.asarray(faces[rows])
    with FaceCollector(writable_folder([Path(faces.filename).parent] if faces.filename else [])) as collector:
        for start in range(0, len(rows), CHUNK):
            collector.add(faces[rows[start : start + CHUNK]])
        return collector.faces()


def writable_folder(folders: Iterable[Path]) -> Path | None:
    """The first of the folders in which files can be made, created where it is missing; None where there is none."""
    for folder in folders:
        with suppress(OSError):
            make_folder(folder, private=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None
