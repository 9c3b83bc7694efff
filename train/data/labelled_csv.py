"""Labelled faces in a CSV: FER2013's, or one with the labels' names, and with pixels or the paths of picture files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, shortened
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.class_names import Naming, clean
from fer_edge.train.data.csv_rows import UNREADABLE, Columns, open_lines
from fer_edge.train.data.face_cache import FaceReader, ReadFaces, read_cache
from fer_edge.train.data.fer2013 import CLASSES, NUMBERS
from fer_edge.train.data.listing import Listing, read_listing
from fer_edge.train.data.splits import SPLIT_NAMES

PATHS = ("path", "file", "filename", "image")
COLUMNS = (("emotion", "label", "class"), ("pixels", *PATHS), ("usage", "split", ""))
"""The columns' names, in lower case: label, picture, and split, without which all rows are the train split."""

_logger = logging.getLogger(__name__)

_PIXELS = FACE_SIZE * FACE_SIZE


def read_csv(path: Path, skip_bad: bool, naming: Naming | None) -> tuple[ReadFaces, Listing | None]:
    """Read a CSV of labelled faces, or its cache.

    Args:
        path: The CSV, plain or compressed (.gz, .xz, .zip), with COLUMNS in any order.
        skip_bad: Whether bad rows are counted instead of raising.
        naming: What --classes says, or None.

    Returns:
        The faces, and their listing where the CSV names picture files. The numbers of FER2013's column emotion have
        become its classes' names, unless `naming` is about numbers.

    Raises:
        DataError: The file is no such CSV, or has a bad row, which the error names.
        SinkError: There is no space for faces that are too many for memory.
    """
    stat = path.stat()
    by_number = naming is None or not naming.numbers
    stamp = {"size": stat.st_size, "time": stat.st_mtime_ns, "skip_bad": skip_bad, "by_number": by_number}
    cached = read_cache(path, stamp)
    if cached is not None:
        return cached, None
    _logger.info(f"parsing {path} (once; the result is cached beside it)")
    listing, skipped = Listing(path, path.parent), 0
    with FaceReader(path) as reader:
        for number, row in _rows(path, listing.labels, by_number):
            if isinstance(row, ValueError):
                if not skip_bad:
                    raise DataError(f"{path}, row {number}: {row}; correct it or pass --skip-bad")
                skipped += 1
            elif isinstance(row.picture, str):
                listing.add(row.split, row.label, row.picture)
            else:
                reader.add(row.split, listing.code(row.label), number, row.picture)
        if not listing.paths:
            read = reader.finish(stamp, listing.labels, {"skipped": skipped})
            if not read.splits:
                raise DataError(f"{path} holds no usable row; expected rows of emotion,pixels,Usage")
            return read, None
    read = read_listing(listing, skip_bad)
    return replace(read, counts={**read.counts, "skipped": read.counts["skipped"] + skipped}), listing


@dataclass(frozen=True, eq=False)
class _Row:
    """A row's cells: the split's name, the label's text, and a (48, 48) uint8 face or the path of a picture file."""

    split: str
    label: str
    picture: NDArray[np.uint8] | str


def _rows(path: Path, labels: list[str], by_number: bool) -> Iterator[tuple[int, _Row | ValueError]]:
    """Parse a CSV's rows.

    Args:
        path: The CSV.
        labels: Gets FER2013's seven where the labels are their numbers.
        by_number: Whether the numbers in a column emotion beside pixels are FER2013's.

    Yields:
        The number of each row in the file, the header's being 1, and the row or what is wrong with it.

    Raises:
        DataError: The file is no such CSV.
    """
    try:
        size = path.stat().st_size
        with (
            progress_bar("parsing, bytes", size) as bar,
            open_lines(path, lambda place: bar.update(place - bar.n)) as lines,
        ):
            columns = Columns(path, next(lines, b""), COLUMNS)
            official = by_number and columns.wanted[:2] == ["emotion", "pixels"]
            labels.extend(CLASSES if official else ())
            for number, line in enumerate(lines, start=2):
                if line.strip():
                    try:
                        yield number, _parsed(columns, line, official)
                    except ValueError as error:
                        yield number, error
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a CSV of labelled faces: {shortened(error, 120)}") from None


def _parsed(columns: Columns, line: bytes, official: bool) -> _Row:
    """A line as a row; ValueError says what is wrong with it. official: whether its label is a number of FER2013's."""
    label, picture, split = columns.cells(line)
    if official and label not in NUMBERS:
        raise ValueError(
            f"emotion is '{shortened(label)}', expected 0 to {len(CLASSES) - 1} (a column label may hold names; "
            "--classes 0=NAME,… says what other numbers mean)"
        )
    if not clean(label):
        raise ValueError(f"the {columns.wanted[0]} is empty")
    split_name = SPLIT_NAMES.get(split.lower()) if columns.wanted[2] else "train"
    if split_name is None:
        column = columns.wanted[2].capitalize()
        raise ValueError(f"{column} is '{shortened(split)}', expected Training, PublicTest or PrivateTest")
    face = _face(picture) if columns.wanted[1] == "pixels" else picture
    return _Row(split_name, CLASSES[NUMBERS[label]] if official else clean(label), face)


def _face(pixels: str) -> NDArray[np.uint8]:
    """The (48, 48) face of a cell; ValueError says what is wrong with it."""
    try:
        values = np.fromstring(pixels, dtype=np.int64, sep=" ")  # int32 would wrap around
    except (ValueError, OverflowError):
        raise ValueError("a pixel is not a whole number from 0 to 255") from None
    if values.size != _PIXELS:
        raise ValueError(f"{values.size} pixels, expected {_PIXELS} (48 x 48)")
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"pixel values from {values.min()} to {values.max()}, expected 0 to 255")
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE)
