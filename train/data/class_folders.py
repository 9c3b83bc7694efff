"""Labelled faces in a tree of class folders: SPLIT/CLASS/picture."""

from __future__ import annotations

import os
import tempfile
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
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm"}


def read_folders(root: Path, skip_bad: bool) -> Dataset:
    """The splits of a tree; DataError names a picture that cannot be decoded, which skip_bad counts instead."""
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
    total = sum(map(len, dataset.splits.values()))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        hidden = tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.")
        with hidden as temporary, progress_bar("writing pictures", total) as bar:
            building = Path(temporary) / "tree"
            for split, part in dataset.splits.items():
                for name in EMOTIONS:
                    (building / split / name).mkdir(parents=True)
                for index, (face, label) in enumerate(zip(part.faces, part.labels, strict=True)):
                    ok, encoded = cv2.imencode(".png", face)
                    assert ok
                    (building / split / EMOTIONS[label] / f"{index:05d}.png").write_bytes(encoded.tobytes())
                    bar.update()
            os.replace(building, directory)
    except OSError as error:
        raise SinkError(f"{directory} cannot be written: {error.strerror or error}; nothing was kept") from None
    return total
