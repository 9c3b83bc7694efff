"""Labelled faces in a tree of class folders: SPLIT/CLASS/picture."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, SinkError, SourceError, printable, shortened
from fer_edge.edge.preprocess import shrink
from fer_edge.edge.sources.picture_files import SUFFIXES, begins_as_picture
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.data.splits import SPLITS, Dataset, Split

SYNONYMS = {
    **{name: name for name in CLASSES},
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
OUTSIDE, NO_SPLIT, SUB_FOLDERS = "files outside class folders", "folders that are no split", "sub-folders of a class"
NO_PICTURES, HIDDEN = "files that are no pictures", "hidden files and folders"
"""What a tree may hold besides its pictures."""


def read_folders(root: Path, skip_bad: bool) -> Dataset:
    """Read a tree of class folders.

    Args:
        root: Holds a folder for each split (SPLIT_FOLDERS), which holds one for each class (SYNONYMS), which holds
            pictures of any size.
        skip_bad: Whether pictures that cannot be decoded are counted instead of raising.

    Returns:
        The data set, which counts what else the tree holds.

    Raises:
        DataError: There are no pictures, a class is unknown, a picture cannot be decoded, or a folder cannot be listed.
    """
    faces: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in SPLITS}
    labels: dict[str, list[int]] = {name: [] for name in SPLITS}
    left_out: Counter[str] = Counter()
    skipped = 0
    for split, label, path in _labelled_pictures(root, left_out):
        try:
            faces[split].append(shrink(load_picture(path, gray=True, pipes=False).pixels))
            labels[split].append(label)
        except SourceError:
            if not skip_bad:
                raise DataError(
                    f"{path} cannot be decoded as a picture of up to {MAX_PIXELS / 1e6:.0f} million pixels; "
                    "repair it or pass --skip-bad"
                ) from None
            skipped += 1
    splits = {
        name: Split(np.stack(faces[name]), np.array(labels[name], np.int64), CLASSES) for name in SPLITS if faces[name]
    }
    if not splits:
        others = f"; it has {listed(left_out)}" if left_out else ""
        raise DataError(
            f"{root}: no pictures found; expected train/angry/*.jpg … (train|test or train|val|test){others}"
        )
    return Dataset(root, splits, skipped, dict(left_out))


def listed(left_out: Mapping[str, int]) -> str:
    """The counts of what a tree holds besides its pictures, in words."""
    return ", ".join(f"{name} ({count})" for name, count in left_out.items())


def _labelled_pictures(root: Path, left_out: Counter[str]) -> Iterator[tuple[str, int, Path]]:
    """Split, label and path of each picture, in the order of the names; DataError where a class is unknown.

    left_out: counts what is left out, by its kind.
    """
    for folder in _sub_folders(root, left_out):
        split = SPLIT_FOLDERS.get(folder.name.lower())
        if split is None:
            left_out[NO_SPLIT] += 1
            continue
        for class_folder in _sub_folders(folder, left_out):
            emotion = SYNONYMS.get(class_folder.name.lower())
            if emotion is None:
                name = shortened(printable(class_folder.name))
                raise DataError(f"{class_folder}: '{name}' is no known class; expected {', '.join(CLASSES)}")
            folders, files = _list(class_folder, left_out)
            left_out.update({SUB_FOLDERS: len(folders)} if folders else {})
            for path in files:
                if path.suffix.lower() in SUFFIXES or (not path.suffix and begins_as_picture(path)):
                    yield split, CLASSES.index(emotion), path
                else:
                    left_out[NO_PICTURES] += 1


def _sub_folders(folder: Path, left_out: Counter[str]) -> list[Path]:
    """The folders in one that has no pictures of its own; its files are counted."""
    folders, files = _list(folder, left_out)
    left_out.update({OUTSIDE: len(files)} if files else {})
    return folders


def _list(folder: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, sorted; what is hidden is counted. Raises DataError."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from None
    folders: list[Path] = []
    files: list[Path] = []
    for path in (folder / name for name in names):
        if path.name.startswith("."):
            left_out[HIDDEN] += 1
        else:
            (folders if os.path.isdir(path) else files).append(path)
    return folders, files


def write_folders(dataset: Dataset, directory: Path) -> int:
    """Write every picture as SPLIT/CLASS/NNNNN.png, all of them or, on a full disk or an interrupt, none.

    Args:
        dataset: What to write.
        directory: A directory that does not exist yet.

    Returns:
        The number of pictures.

    Raises:
        DataError: The directory exists.
        SinkError: It cannot be written.
    """
    if directory.exists():
        raise DataError(f"{directory} exists; expected a new folder, so that two data sets are not mixed")
    total = sum(map(len, dataset.splits.values()))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        hidden = tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.")  # renamed at the end
        with hidden as temporary, progress_bar("writing pictures", total) as bar:
            building = Path(temporary) / "tree"
            for name, split in dataset.splits.items():
                for emotion in CLASSES:
                    (building / name / emotion).mkdir(parents=True)
                for index, (face, label) in enumerate(zip(split.faces, split.labels, strict=True)):
                    ok, encoded = cv2.imencode(".png", face)
                    assert ok
                    (building / name / CLASSES[label] / f"{index:05d}.png").write_bytes(encoded.tobytes())
                    bar.update()
            os.replace(building, directory)
    except OSError as error:
        raise SinkError(f"{directory} cannot be written: {error.strerror or error}; nothing was written") from None
    return total
