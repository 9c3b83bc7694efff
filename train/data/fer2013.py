"""The official FER2013 CSV: rows of emotion,pixels,Usage, parsed once and cached."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError, SinkError, shortened
from fer_edge.edge.files.writing import atomic_path
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.csv_rows import UNREADABLE, Columns, open_lines
from fer_edge.train.data.splits import SPLITS, Dataset, Split

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes, in the order of the numbers in its CSV."""

USAGES = {"training": 0, "publictest": 1, "privatetest": 2}
"""Index in SPLITS by the Usage column, in lower case."""

COLUMNS = ("emotion", "pixels", "usage")
LABELS = {str(label): label for label in range(len(CLASSES))}

_logger = logging.getLogger(__name__)

_PIXELS = FACE_SIZE * FACE_SIZE
_CACHE_VERSION = 2


def read_csv(path: Path, skip_bad: bool) -> Dataset:
    """Read FER2013's CSV, or its cache beside it (NAME.fer2013.npz).

    Args:
        path: The CSV, plain or compressed (.gz, .xz, .zip), with the columns emotion, pixels and Usage in any order.
        skip_bad: Whether bad rows are counted instead of raising.

    Raises:
        DataError: The file is no FER2013 CSV, or has a bad row, which the error names.
    """
    cache = path.with_name(f"{path.name}.fer2013.npz")
    stat = path.stat()
    stamp = np.array([_CACHE_VERSION, stat.st_size, stat.st_mtime_ns, int(skip_bad)], np.int64)
    parsed = _read_cache(cache, stamp)
    if parsed is None:
        _logger.info(f"parsing {path} (once; the result is cached beside it)")
        parsed = _parse_csv(path, skip_bad)
        _write_cache(cache, stamp, parsed)
    faces, labels, usages, skipped = parsed
    splits = {
        name: Split(faces[usages == index], labels[usages == index].astype(np.int64), CLASSES)
        for index, name in enumerate(SPLITS)
        if np.any(usages == index)
    }
    return Dataset(path, splits, skipped)


_Parsed = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], int]


def _read_cache(cache: Path, stamp: NDArray[np.int64]) -> _Parsed | None:
    try:
        arrays = read_arrays(cache, "a cache")
        if np.array_equal(arrays["stamp"], stamp):
            faces, labels, usages = (arrays[name] for name in ("faces", "labels", "usages"))
            shapes = faces.shape == (len(faces), FACE_SIZE, FACE_SIZE), labels.shape == usages.shape == (len(faces),)
            kinds = {each.dtype for each in (faces, labels, usages)} == {np.dtype(np.uint8)}
            if all(shapes) and kinds and labels.max() < len(CLASSES) and usages.max() < len(SPLITS):
                return faces, labels, usages, int(arrays["skipped"])
    except (ModelError, KeyError, TypeError, ValueError):
        pass  # parsed again
    return None


def _write_cache(cache: Path, stamp: NDArray[np.int64], parsed: _Parsed) -> None:
    faces, labels, usages, skipped = parsed
    try:
        with atomic_path(cache) as temporary:
            np.savez(temporary, stamp=stamp, faces=faces, labels=labels, usages=usages, skipped=np.int64(skipped))
    except SinkError as error:
        _logger.info(f"{error}; the next run parses the CSV again")


def _parse_csv(path: Path, skip_bad: bool) -> _Parsed:
    faces, labels, usages, skipped = [], [], [], 0
    try:
        size = path.stat().st_size
        with (
            progress_bar("parsing, bytes", size) as bar,
            open_lines(path, lambda place: bar.update(place - bar.n)) as lines,
        ):
            columns = Columns(path, next(lines, b""), COLUMNS)
            for row, line in enumerate(lines, start=2):
                if not line.strip():
                    continue
                try:
                    face, label, usage = _parse_row(*columns.cells(line))
                except ValueError as error:
                    if not skip_bad:
                        raise DataError(f"{path}, row {row}: {error}; correct it or pass --skip-bad") from None
                    skipped += 1
                    continue
                faces.append(face)
                labels.append(label)
                usages.append(usage)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a FER2013 CSV: {shortened(error, 120)}") from None
    if not faces:
        raise DataError(f"{path} holds no usable row; expected rows of emotion,pixels,Usage")
    return np.stack(faces), np.array(labels, np.uint8), np.array(usages, np.uint8), skipped


def _parse_row(emotion: str, pixels: str, usage: str) -> tuple[NDArray[np.uint8], int, int]:
    """The cells of a row to ((48, 48) uint8, label, usage index); ValueError says what is wrong with them."""
    if emotion not in LABELS:
        raise ValueError(f"emotion is '{shortened(emotion)}', expected 0 to {len(CLASSES) - 1}")
    usage_index = USAGES.get(usage.lower())
    if usage_index is None:
        raise ValueError(f"Usage is '{shortened(usage)}', expected Training, PublicTest or PrivateTest")
    try:
        values = np.fromstring(pixels, dtype=np.int64, sep=" ")  # int32 would wrap around
    except (ValueError, OverflowError):
        raise ValueError("a pixel is not a whole number from 0 to 255") from None
    if values.size != _PIXELS:
        raise ValueError(f"{values.size} pixels, expected {_PIXELS} (48 x 48)")
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"pixel values from {values.min()} to {values.max()}, expected 0 to 255")
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE), LABELS[emotion], usage_index
