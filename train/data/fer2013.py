"""The official FER2013 CSV: rows of emotion,pixels,Usage, parsed once and cached."""

from __future__ import annotations

import gzip
import io
import logging
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError, SinkError
from fer_edge.edge.files import atomic_path
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import SPLITS, Dataset, Split

USAGES = {"training": 0, "publictest": 1, "privatetest": 2}
"""Index in SPLITS by the Usage column, in lower case."""

_logger = logging.getLogger(__name__)

_PIXELS = FACE_SIZE * FACE_SIZE
_CACHE_VERSION = 1
# zipfile raises a RuntimeError for what is encrypted
_UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, UnicodeDecodeError)


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
        name: Split(faces[usages == index], labels[usages == index].astype(np.int64))
        for index, name in enumerate(SPLITS)
        if np.any(usages == index)
    }
    return Dataset(path, splits, skipped)


_Parsed = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], int]


def _read_cache(cache: Path, stamp: NDArray[np.int64]) -> _Parsed | None:
    try:
        arrays = read_arrays(cache, "a cache")
        if np.array_equal(arrays["stamp"], stamp):
            return arrays["faces"], arrays["labels"], arrays["usages"], int(arrays["skipped"])
    except (ModelError, KeyError):
        pass  # parsed again
    return None


def _write_cache(cache: Path, stamp: NDArray[np.int64], parsed: _Parsed) -> None:
    faces, labels, usages, skipped = parsed
    try:
        with atomic_path(cache) as temporary:
            np.savez(temporary, stamp=stamp, faces=faces, labels=labels, usages=usages, skipped=np.int64(skipped))
    except SinkError as error:
        _logger.info(f"{error}; the next run parses the CSV again")


@contextmanager
def _open_csv(path: Path, raw: BinaryIO) -> Iterator[Any]:
    """The bytes of the CSV in an open file, decompressed."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(raw) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if not names:
                raise DataError(f"{path} holds no .csv file; expected the FER2013 CSV inside")
            member = next((name for name in names if "fer" in name.lower()), names[0])
            with archive.open(member) as stream:
                yield stream
    elif suffix == ".gz":
        with gzip.open(raw) as stream:
            yield stream
    elif suffix == ".xz":
        with lzma.open(raw) as stream:
            yield stream
    else:
        yield raw


def _parse_csv(path: Path, skip_bad: bool) -> _Parsed:
    faces, labels, usages, skipped = [], [], [], 0
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, _open_csv(path, raw) as stream, progress_bar("parsing, bytes", size) as bar:
            lines = io.BufferedReader(stream, 1 << 20) if isinstance(stream, io.RawIOBase) else stream
            order = _column_order(path, lines.readline().decode("utf-8-sig"))
            for row, line in enumerate(lines, start=2):
                bar.update(raw.tell() - bar.n)
                if not line.strip():
                    continue
                try:
                    face, label, usage = _parse_row(line, order)
                except ValueError as error:
                    if not skip_bad:
                        raise DataError(f"{path}, row {row}: {error}; correct it or pass --skip-bad") from None
                    skipped += 1
                    continue
                faces.append(face)
                labels.append(label)
                usages.append(usage)
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a FER2013 CSV: {error}") from None
    if not faces:
        raise DataError(f"{path} holds no usable row; expected rows of emotion,pixels,Usage")
    return np.stack(faces), np.array(labels, np.uint8), np.array(usages, np.uint8), skipped


def _column_order(path: Path, header: str) -> list[int]:
    """The positions of emotion, pixels and Usage; DataError where the header lacks one of them."""
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    if {"emotion", "pixels", "usage"} - set(names):
        raise DataError(f"{path}: the header is {','.join(names)[:80]!r}; expected the columns emotion,pixels,Usage")
    return [names.index(name) for name in ("emotion", "pixels", "usage")]


def _parse_row(line: bytes, order: list[int]) -> tuple[NDArray[np.uint8], int, int]:
    """One CSV line to ((48, 48) uint8, label, usage index); ValueError says what is wrong with it."""
    cells = [cell.strip().strip(b'"') for cell in line.split(b",")]
    if len(cells) <= max(order):
        raise ValueError(f"{len(cells)} columns, expected {max(order) + 1}")
    emotion, pixels, usage = (cells[index] for index in order)
    if not emotion.isdigit() or int(emotion) >= len(EMOTIONS):
        raise ValueError(f"emotion is {emotion.decode(errors='replace')!r}, expected 0 to {len(EMOTIONS) - 1}")
    usage_index = USAGES.get(usage.decode(errors="replace").lower())
    if usage_index is None:
        raise ValueError(f"Usage is {usage.decode(errors='replace')!r}, expected Training, PublicTest or PrivateTest")
    try:
        values = np.fromstring(pixels, dtype=np.int64, sep=" ")  # int32 would wrap around
    except (ValueError, OverflowError):
        raise ValueError("a pixel is not a whole number from 0 to 255") from None
    if values.size != _PIXELS:
        raise ValueError(f"{values.size} pixels, expected {_PIXELS} (48 x 48)")
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"pixel values from {values.min()} to {values.max()}, expected 0 to 255")
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE), int(emotion), usage_index
