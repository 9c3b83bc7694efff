"""A data set's parts: labelled faces as uint8 arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.train.data.mapped import mapped_rows

SPLITS = ("train", "val", "test")
"""FER2013's Training, PublicTest and PrivateTest."""

SPLIT_NAMES = {
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
"""The split by what folders and CSV files call it, in lower case."""

SYSTEM_FOLDERS = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
"""Folders that systems make in a tree, in lower case; they count as hidden."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        faces: (N, 48, 48) uint8 gray.
        labels: (N,) int64, the indices of their classes.
        classes: (C,) names of the data set's classes; not every one need have a picture here.
        votes: (N, C) float32 shares of annotators' votes for each class, where the labels come from votes; else None.
    """

    faces: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    votes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, mask: NDArray[np.bool_]) -> Split:
        """The rows of a (N,) mask; large ones go to a file as `mapped_rows` says, where the faces are in one."""
        votes = None if self.votes is None else self.votes[mask]
        return Split(mapped_rows(self.faces, mask), self.labels[mask], self.classes, votes)

    def sample(self, per_class: int, seed: int = 0) -> Split:
        """At most so many rows of each class, at random but the same for the same seed, in their order."""
        order = np.random.default_rng(seed).permutation(len(self))
        chosen = [order[self.labels[order] == label][:per_class] for label in range(len(self.classes))]
        mask = np.zeros(len(self), bool)
        mask[np.concatenate(chosen)] = True
        return self.rows(mask)

    def counts(self) -> NDArray[np.int64]:
        """(C,) int64 pictures per class."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set.

    Attributes:
        source: The file or folder that it was read from.
        splits: The splits that there are, by name: 'train', 'val', 'test'.
        skipped: Number of bad rows or pictures that were skipped.
        left_out: Numbers of files and folders that a tree holds besides its pictures, by their kind in words.
        tiny: Number of pictures whose shorter side has less than TINY pixels.
        large: Number of pictures that may show more than a face, see `fer_edge.train.data.listing.size_counts`.
        dropped: Numbers of rows that `fer_edge.train.data.repeated_rows.drop_duplicates` left out of train.
        files: The pictures' paths below the source's folder, by split, where the data set is of picture files.
    """

    source: Path
    splits: dict[str, Split]
    skipped: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    tiny: int = 0
    large: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """(C,) names of the classes, the same in all splits."""
        return next(iter(self.splits.values())).classes

    def train_files(self, mask: NDArray[np.bool_]) -> list[str]:
        """The paths of the train split's pictures of a (N,) mask; none where the data set has no picture files."""
        return [path for path, chosen in zip(self.files["train"], mask, strict=True) if chosen] if self.files else []

    def split(self, name: str) -> Split:
        """The split of that name; DataError where the data set has none."""
        if name not in self.splits:
            names = ", ".join(f"{split} ({len(part)})" for split, part in self.splits.items())
            hints = {
                "test": "; the official CSV calls it PrivateTest",
                "val": "; --val-share 0.15 takes one from train",
            }
            hint = hints.get(name, "")
            raise DataError(f"{self.source} has no '{name}' split; it has {names}{hint}")
        return self.splits[name]


def fingerprint(split: Split) -> str:
    """sha256 of pixels and labels, which identifies the data that a figure was measured on."""
    digest = hashlib.sha256(np.ascontiguousarray(split.faces).ravel().data)  # not copied: it may be gigabytes
    digest.update(split.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()
