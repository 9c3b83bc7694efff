"""Labelled faces in a tree of class folders: SPLIT/CLASS/picture."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, SinkError
from fer_edge.edge.preprocess import shrink
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.data.splits import SPLITS, Dataset, Split

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
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm"}


def read_folders(root: Path, skip_bad: bool) -> Dataset:
    """Read a tree of class folders.

    Args:
        root: Holds a folder for each split (SPLIT_FOLDERS), which holds one for each class (SYNONYMS), which holds
            pictures of any size.
        skip_bad: Whether pictures that cannot be decoded are counted instead of raising.

    Raises:
        DataError: There are no pictures, a class is unknown, or a picture cannot be decoded.
    """
    faces: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in SPLITS}
    labels: dict[str, list[int]] = {name: [] for name in SPLITS}
    skipped = 0
    for split, label, path in _labelled_pictures(root):
        picture = read_gray(path)
        if picture is not None:
            faces[split].append(shrink(picture))
            labels[split].append(label)
        elif skip_bad:
            skipped += 1
        else:
            raise DataError(f"{path} cannot be decoded as a picture; repair it or pass --skip-bad")
    splits = {name: Split(np.stack(faces[name]), np.array(labels[name], np.int64)) for name in SPLITS if faces[name]}
    if not splits:
        raise DataError(f"{root}: no pictures found; expected train/angry/*.jpg … (train|test or train|val|test)")
    return Dataset(root, splits, skipped)


def _labelled_pictures(root: Path) -> Iterator[tuple[str, int, Path]]:
    """Split, label and path of each picture, in the order of the names; DataError where a class is unknown."""
    for folder in _subfolders(root):
        split = SPLIT_FOLDERS.get(folder.name.lower())
        if split is None:
            continue
        for class_folder in _subfolders(folder):
            emotion = SYNONYMS.get(class_folder.name.lower())
            if emotion is None:
                raise DataError(
                    f"{class_folder}: '{class_folder.name}' is no known class; expected {', '.join(EMOTIONS)}"
                )
            label = EMOTIONS.index(emotion)
            pictures = (path for path in class_folder.iterdir() if path.suffix.lower() in SUFFIXES)
            yield from ((split, label, path) for path in sorted(pictures))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def read_gray(path: Path) -> NDArray[np.uint8] | None:
    """Read a picture file as (H, W) uint8 gray; None where it cannot be decoded."""
    try:
        encoded = np.fromfile(path, np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) if encoded.size else None
    except (OSError, cv2.error):  # OpenCV's for a picture of more than 2^30 pixels
        return None
    return None if image is None else np.asarray(image, np.uint8)


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
                for emotion in EMOTIONS:
                    (building / name / emotion).mkdir(parents=True)
                for index, (face, label) in enumerate(zip(split.faces, split.labels, strict=True)):
                    ok, encoded = cv2.imencode(".png", face)
                    assert ok
                    (building / name / EMOTIONS[label] / f"{index:05d}.png").write_bytes(encoded.tobytes())
                    bar.update()
            os.replace(building, directory)
    except OSError as error:
        raise SinkError(f"{directory} cannot be written: {error.strerror or error}; nothing was written") from None
    return total
