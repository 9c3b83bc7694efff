"""Labelled faces: the official FER2013 CSV and class-folder trees, read into uint8 arrays.

Nothing here imports Keras: `fer-edge data …` and the evaluation of int8 models need the runtime alone.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError, SinkError
from fer_edge.edge.files import whole
from fer_edge.edge.preprocess import FACE_SIZE, shrink
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.arrays import read_arrays
from fer_edge.train.progress import Progress

SPLITS = ("train", "val", "test")
USAGES = {"training": 0, "publictest": 1, "privatetest": 2}
SYNONYMS = {
    **{name: name for name in EMOTIONS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "neutrality": "neutral",
}
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm"}

ROWS_A_STEP = 500
"""Rows parsed, or pictures written, from one step of progress to the next."""

_PIXELS = FACE_SIZE * FACE_SIZE
_CACHE_VERSION = 1
# zipfile raises a RuntimeError for what is encrypted
_UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, UnicodeDecodeError)


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set. faces: (N, 48, 48) uint8. labels: (N,) int64 in EMOTIONS order."""

    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> NDArray[np.int64]:
        """(7,) pictures per class."""
        return np.bincount(self.labels, minlength=len(EMOTIONS)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The splits that were found, by name, and how many bad rows or pictures were skipped."""

    source: Path
    splits: dict[str, Split]
    skipped: int = 0

    def split(self, name: str) -> Split:
        """The named split; DataError where the data set has none."""
        if name not in self.splits:
            have = ", ".join(f"{split} ({len(part)})" for split, part in self.splits.items())
            hint = "; the official CSV calls it PrivateTest" if name == "test" else ""
            raise DataError(f"{self.source} has no '{name}' split; it has {have}{hint}")
        return self.splits[name]


def load(path: Path | str, *, skip_bad: bool = False, progress: Callable[[str], None] = lambda line: None) -> Dataset:
    """Read a FER2013 CSV (plain, .gz, .xz or .zip) or a class-folder tree.

    A CSV is parsed once and cached beside it as NAME.fer2013.npz. A bad row or picture raises DataError with its
    row number or path, unless skip_bad, which goes on and tells progress how many there were.
    """
    path = Path(path)
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file or folder; expected a FER2013 CSV or a tree of class folders")
    dataset = _load_folders(path, skip_bad) if path.is_dir() else _load_csv(path, skip_bad, progress)
    if dataset.skipped:
        progress(f"{path}: {dataset.skipped} bad {'pictures' if path.is_dir() else 'rows'} skipped")
    return dataset


# --- the official CSV ------------------------------------------------------------------------------------------


def _load_csv(path: Path, skip_bad: bool, progress: Callable[[str], None]) -> Dataset:
    cache = path.with_name(f"{path.name}.fer2013.npz")
    stat = path.stat()
    stamp = np.array([_CACHE_VERSION, stat.st_size, stat.st_mtime_ns, int(skip_bad)], np.int64)
    cached = _read_cache(cache, stamp)
    if cached is None:
        progress(f"parsing {path} (once; the result is cached beside it)")
        cached = _parse_csv(path, skip_bad)
        _write_cache(cache, stamp, cached, progress)
    faces, labels, usages, skipped = cached
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
        pass  # it is made anew
    return None


def _write_cache(cache: Path, stamp: NDArray[np.int64], parsed: _Parsed, progress: Callable[[str], None]) -> None:
    faces, labels, usages, skipped = parsed
    try:
        with whole(cache) as beside:
            np.savez(beside, stamp=stamp, faces=faces, labels=labels, usages=usages, skipped=np.int64(skipped))
    except SinkError as error:
        progress(f"{error}; the next run parses the CSV again")


@contextmanager
def _open_csv(path: Path, raw: BinaryIO) -> Iterator[Any]:
    """The CSV's bytes out of the opened file, which may hold them compressed."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(raw) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if not names:
                raise DataError(f"{path} holds no .csv file; expected the FER2013 CSV inside")
            chosen = next((name for name in names if "fer" in name.lower()), names[0])
            with archive.open(chosen) as stream:
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
        with path.open("rb") as raw, _open_csv(path, raw) as stream, Progress() as progress:
            size = 1 + path.stat().st_size // 1024
            lines = io.BufferedReader(stream, 1 << 20) if isinstance(stream, io.RawIOBase) else stream
            header = [name.strip().strip('"').lower() for name in lines.readline().decode("utf-8-sig").split(",")]
            missing = {"emotion", "pixels", "usage"} - set(header)
            if missing:
                raise DataError(
                    f"{path}: the header is {','.join(header)[:80]!r}; expected the columns emotion,pixels,Usage"
                )
            order = [header.index(name) for name in ("emotion", "pixels", "usage")]
            for row, line in enumerate(lines, start=2):
                if row % ROWS_A_STEP == 0:
                    progress("parsing, KiB", 1 + raw.tell() // 1024, size)
                if not line.strip():
                    continue
                try:
                    face, label, usage = _parse_row(line, order)
                except ValueError as error:
                    if not skip_bad:
                        raise DataError(f"{path}, row {row}: {error}; mend it or pass --skip-bad") from None
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


# --- class-folder trees ----------------------------------------------------------------------------------------


def _load_folders(root: Path, skip_bad: bool) -> Dataset:
    parts: dict[str, tuple[list[NDArray[np.uint8]], list[int]]] = {}
    skipped = 0
    for folder in sorted(child for child in root.iterdir() if child.is_dir()):
        split = SPLIT_FOLDERS.get(folder.name.lower())
        if split is None:
            continue
        faces, labels = parts.setdefault(split, ([], []))
        for class_folder in sorted(child for child in folder.iterdir() if child.is_dir()):
            emotion = SYNONYMS.get(class_folder.name.lower())
            if emotion is None:
                raise DataError(
                    f"{class_folder}: '{class_folder.name}' is no known class; expected {', '.join(EMOTIONS)}"
                )
            for picture in sorted(class_folder.iterdir()):
                if picture.suffix.lower() not in PICTURES:
                    continue
                face = read_gray(picture)
                if face is None:
                    if not skip_bad:
                        raise DataError(f"{picture} cannot be decoded as a picture; mend it or pass --skip-bad")
                    skipped += 1
                    continue
                faces.append(shrink(face))
                labels.append(EMOTIONS.index(emotion))
    splits = {
        name: Split(np.stack(parts[name][0]), np.array(parts[name][1], np.int64))
        for name in SPLITS
        if name in parts and parts[name][0]
    }
    if not splits:
        raise DataError(f"{root}: no pictures found; expected train/angry/*.jpg … (train|test or train|val|test)")
    return Dataset(root, splits, skipped)


def read_gray(path: Path) -> NDArray[np.uint8] | None:
    """A picture file as (H, W) uint8 gray, or None where it cannot be decoded."""
    try:
        encoded = np.fromfile(path, np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) if encoded.size else None
    except (OSError, cv2.error):  # OpenCV's for a picture of more than 2^30 pixels
        return None
    return None if image is None else np.asarray(image, np.uint8)


def write_folders(dataset: Dataset, directory: Path) -> int:
    """Write every picture as SPLIT/CLASS/NNNNN.png below a directory that must not exist yet; returns how many.

    Written beside and renamed, so that a full disk or an interrupt leaves nothing half-written; SinkError then.
    """
    if directory.exists():
        raise DataError(f"{directory} exists; expected a new folder, so that two data sets are not mixed")
    written, total = 0, sum(map(len, dataset.splits.values()))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        hidden = tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.")
        with hidden as temporary, Progress() as progress:
            building = Path(temporary) / "tree"
            for split, part in dataset.splits.items():
                for name in EMOTIONS:
                    (building / split / name).mkdir(parents=True)
                for index, (face, label) in enumerate(zip(part.faces, part.labels, strict=True)):
                    ok, encoded = cv2.imencode(".png", face)
                    assert ok
                    (building / split / EMOTIONS[label] / f"{index:05d}.png").write_bytes(encoded.tobytes())
                    written += 1
                    if written % ROWS_A_STEP == 0:
                        progress("pictures written", written, total)
            os.replace(building, directory)
    except OSError as error:
        raise SinkError(f"{directory} cannot be written: {error.strerror or error}; nothing was kept") from None
    return written


def fingerprint(split: Split) -> str:
    """sha256 over pixels and labels: which data a figure was measured on."""
    digest = hashlib.sha256(np.ascontiguousarray(split.faces).tobytes())
    digest.update(split.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()
