"""Faces read once from a CSV or from picture files, and their cache: an .npz file, from which they are mapped.

It lies beside the data, as NAME.fer-edge.npz, or in the user's cache folder where the data's is read-only. Where
neither can be written, the faces are read again the next time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.writing import atomic_path
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.train.data.mapped import CHUNK, FaceCollector, writable_folder
from fer_edge.train.data.splits import SPLITS

SUFFIX = ".fer-edge.npz"

_VERSION = 1
_ABOUT = "about.json"
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
)
"""What a damaged cache raises."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """The faces of one split, with their labels as texts.

    Attributes:
        faces: (N, 48, 48) uint8 gray.
        codes: (N,) uint8 index of each face's text in `ReadFaces.labels`.
        rows: (N,) int64 number of each face's row or picture, among those of the source.
    """

    faces: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ReadFaces:
    """What was read of a CSV or of picture files.

    Attributes:
        splits: The faces by split, for those that have any.
        labels: The labels' texts.
        counts: How many rows or pictures are bad ('skipped'), 'tiny' or 'large'.
    """

    splits: Mapping[str, LabelledFaces]
    labels: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


class FaceReader:
    """Collects the faces of a source in the splits that they belong to, and writes its cache; `with` closes it."""

    def __init__(self, source: Path) -> None:
        """source: the CSV or folder that is read."""
        self._source, self._caches = source, _cache_files(source)
        self._stack, folder = ExitStack(), writable_folder(cache.parent for cache in self._caches)
        self._faces = {name: self._stack.enter_context(FaceCollector(folder)) for name in SPLITS}
        self._codes: dict[str, bytearray] = {name: bytearray() for name in SPLITS}
        self._rows: dict[str, array[int]] = {name: array("q") for name in SPLITS}

    def __enter__(self) -> FaceReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, split: str, code: int, row: int, face: NDArray[np.uint8]) -> None:
        """Add a (48, 48) face with its label's code and its number in the source; SinkError where the disk is full."""
        self._faces[split].add(face)
        self._codes[split].append(code)
        self._rows[split].append(row)

    def finish(self, stamp: Mapping[str, Any], labels: Sequence[str], counts: Mapping[str, int]) -> ReadFaces:
        """What was read, mapped from its cache where that can be written.

        Args:
            stamp: What the faces were read from, for JSON: another one makes the cache invalid.
            labels: The labels' texts by code.
            counts: See `ReadFaces`.
        """
        splits = {
            name: LabelledFaces(
                self._faces[name].faces(),
                np.frombuffer(bytes(self._codes[name]), np.uint8),
                np.array(self._rows[name], np.int64),
            )
            for name in SPLITS
            if self._codes[name]
        }
        read = ReadFaces(splits, tuple(labels), dict(counts))
        problems = []
        for cache in self._caches if splits else ():
            try:
                _write(cache, self._source, stamp, read)
                return _read(cache, stamp) or read
            except SinkError as error:
                problems.append(str(error))
        if problems:
            _logger.info(f"{problems[0]}; the next run reads the data again")
        return read


def read_cache(source: Path, stamp: Mapping[str, Any]) -> ReadFaces | None:
    """The faces of a source from its cache; None where it has none with this stamp, or a damaged one."""
    return next((read for cache in _cache_files(source) if (read := _read(cache, stamp))), None)


def _cache_files(source: Path) -> list[Path]:
    """Where the cache may be, in order of preference."""
    source = Path(os.path.abspath(source))
    files = [source.with_name(source.name + SUFFIX)] if source.name else []
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(folder):
        name = hashlib.sha256(os.fsencode(source)).hexdigest()
        files.append(Path(folder, "fer-edge", "data", name + SUFFIX))
    return files


def _write(cache: Path, source: Path, stamp: Mapping[str, Any], read: ReadFaces) -> None:
    """Write the cache, for those who may read the source; SinkError."""
    about = {"stamp": {"version": _VERSION, **stamp}, "labels": read.labels, "counts": read.counts}
    with atomic_path(cache, private=True) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(_ABOUT, json.dumps(about))
            for name, split in read.splits.items():
                for key, values in vars(split).items():
                    with archive.open(f"{name}_{key}.npy", "w", force_zip64=True) as stream:
                        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(values))
                        for start in range(0, len(values), CHUNK):
                            stream.write(np.ascontiguousarray(values[start : start + CHUNK]).data)
        temporary.chmod(0o600 | source.stat().st_mode & 0o666)


def _read(cache: Path, stamp: Mapping[str, Any]) -> ReadFaces | None:
    """Read a cache with this stamp, and map its faces; None where there is none, or it is damaged."""
    try:
        with cache.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
                return None
            about = json.loads(archive.read(_ABOUT))
            if about["stamp"] != json.loads(json.dumps({"version": _VERSION, **stamp})) or archive.testzip():
                return None
            labels, splits = tuple(about["labels"]), {}
            for name in SPLITS:
                if f"{name}_codes.npy" in entries:
                    arrays = [
                        _mapped(file, archive, entries[f"{name}_{key}.npy"]) for key in ("faces", "codes", "rows")
                    ]
                    splits[name] = LabelledFaces(arrays[0], np.array(arrays[1]), np.array(arrays[2]))
                    _check(splits[name], len(labels))
            counts = {str(key): int(value) for key, value in about["counts"].items()}
            return ReadFaces(splits, tuple(map(str, labels)), counts) if splits else None
    except _DAMAGE:
        return None


def _mapped(file: IO[bytes], archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    """An array that is stored in a zip file without compression, mapped into memory; ValueError where it is none."""
    with archive.open(entry) as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        header = stream.tell()
    file.seek(entry.header_offset)
    local = file.read(30)
    start = entry.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if header + int(np.prod(shape)) * dtype.itemsize != entry.file_size or dtype.hasobject:
        raise ValueError("the array's size does not fit")
    return np.memmap(file, dtype, "r", start + header, shape)


def _check(split: LabelledFaces, labels: int) -> None:
    """ValueError where the arrays of a split are not what they should be."""
    count = len(split.codes)
    shapes = split.faces.shape == (count, FACE_SIZE, FACE_SIZE), split.codes.shape == split.rows.shape == (count,)
    kinds = split.faces.dtype == split.codes.dtype == np.uint8 and split.rows.dtype == np.int64
    if not count or not all(shapes) or not kinds or split.codes.max() >= labels or split.rows.min() < 0:
        raise ValueError("the arrays do not fit")
