"""TFLite metadata: what a .tflite file says itself of its picture, its labels and its licence.

The public schema is metadata_schema.fbs (https://ai.google.dev/edge/litert/models/metadata); its flatbuffer lies in a
buffer of the model's own flatbuffer. Fields are given here by their number in the two schemas: the library that knows
their names is no dependency of the runtime.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.edge.errors import ModelError

BUFFER_NAME = "TFLITE_METADATA"

RGB, GRAYSCALE = 1, 2
_IMAGE_PROPERTIES, _NORMALIZATION, _TENSOR_AXIS_LABELS = 2, 1, 2

MAX_ENTRIES = 4096
"""Elements of a vector; a model has some hundred tensors, and a damaged file any number."""


@dataclass(frozen=True)
class FileMetadata:
    """What a file says of itself.

    Attributes:
        means: What is subtracted from the pixels, 0 to 255, once or for each channel; empty where it is not said.
        deviations: What they are divided by then.
        colour_space: RGB, GRAYSCALE, or 0 where it is not said.
        labels_file: Name of the labels in the archive at the file's end; None where it is not said.
        licence: The licence; empty where it is not said.
    """

    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    colour_space: int = 0
    labels_file: str | None = None
    licence: str = ""


@dataclass(frozen=True)
class _Table:
    """A flatbuffer's table. Reading beyond the data raises struct.error, IndexError or ValueError."""

    data: bytes
    position: int

    def _field(self, number: int) -> int | None:
        """Where a field's value lies; None where the table has none."""
        vtable = self.position - self._read("<i", self.position)
        if 4 + 2 * number >= self._read("<H", vtable):
            return None
        offset = self._read("<H", vtable + 4 + 2 * number)
        return self.position + offset if offset else None

    def _read(self, kind: str, position: int) -> int:
        if position < 0:
            raise IndexError("an offset lies before the data")
        return int(struct.unpack_from(kind, self.data, position)[0])

    def number(self, number: int, kind: str) -> int:
        """A number, of a kind as `struct` has it; 0 where there is none."""
        place = self._field(number)
        return 0 if place is None else self._read(kind, place)

    def table(self, number: int) -> _Table | None:
        """A table that a field refers to."""
        place = self._field(number)
        return None if place is None else _Table(self.data, place + self._read("<I", place))

    def _vector(self, number: int) -> tuple[int, int]:
        """Where a vector's elements lie, and how many there are."""
        place = self._field(number)
        if place is None:
            return 0, 0
        start = place + self._read("<I", place)
        return start + 4, self._read("<I", start)

    def content(self, number: int) -> bytes:
        """The bytes of a vector or a text."""
        start, count = self._vector(number)
        if start + count > len(self.data):
            raise IndexError("a vector ends beyond the data")
        return self.data[start : start + count]

    def text(self, number: int) -> str:
        """A text, with replacements for what is no UTF-8."""
        return self.content(number).decode("utf-8", "replace")

    def floats(self, number: int) -> tuple[float, ...]:
        """The numbers of a vector of float32."""
        start, count = self._vector(number)
        return struct.unpack_from(f"<{min(count, MAX_ENTRIES)}f", self.data, start)

    def tables(self, number: int) -> Iterator[_Table]:
        """The tables of a vector."""
        start, count = self._vector(number)
        for place in range(start, start + 4 * min(count, MAX_ENTRIES), 4):
            yield _Table(self.data, place + self._read("<I", place))


def read_metadata(model: Path) -> FileMetadata:
    """Read the metadata of a .tflite file.

    Args:
        model: The file.

    Returns:
        What it says; nothing where it has no metadata.

    Raises:
        ModelError: The file cannot be read, or its tables are damaged.
    """
    try:
        data = model.read_bytes()
        return _described(_root(data))
    except OSError as error:
        raise ModelError(f"{model} cannot be read: {error.strerror or error}") from None
    except (struct.error, IndexError, ValueError, OverflowError):
        raise ModelError(f"{model}: its metadata cannot be read; fetch or convert it again") from None


def _root(data: bytes) -> _Table:
    return _Table(data, struct.unpack_from("<I", data)[0])


def _described(model: _Table) -> FileMetadata:
    entries = [each for each in model.tables(6) if each.text(0) == BUFFER_NAME]
    buffers = list(model.tables(4)) if entries else []
    if not entries:
        return FileMetadata()
    metadata = _root(buffers[entries[0].number(1, "<I")].content(0))
    image, output = _first(metadata, 2), _first(metadata, 3)
    means, deviations = _normalization(image) if image else ((), ())
    files = [each.text(0) for each in output.tables(6) if each.number(2, "<b") == _TENSOR_AXIS_LABELS] if output else []
    colour_space = _colour_space(image) if image else 0
    licence = " ".join(metadata.text(5).split())
    return FileMetadata(means, deviations, colour_space, files[0] if files else None, licence)


def _first(metadata: _Table, number: int) -> _Table | None:
    """The metadata of the first tensor in a list of the first graph's; None where there is none."""
    graph = next(metadata.tables(3), None)
    return None if graph is None else next(graph.tables(number), None)


def _colour_space(image: _Table) -> int:
    content = image.table(3)
    if content is None or content.number(0, "<B") != _IMAGE_PROPERTIES:
        return 0
    properties = content.table(1)
    return 0 if properties is None else properties.number(0, "<b")


def _normalization(image: _Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and deviations, as many of one as of the other; none where one is no number or 0."""
    for unit in image.tables(4):
        options = unit.table(1)
        if unit.number(0, "<B") == _NORMALIZATION and options is not None:
            means, deviations = options.floats(0), options.floats(1)
            if len(means) == len(deviations) in (1, 3) and np.isfinite([*means, *deviations]).all() and all(deviations):
                return means, deviations
    return (), ()
