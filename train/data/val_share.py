"""A val split taken from the train split, by class, with all pictures of one source on one side."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, printable, shortened
from fer_edge.train.data.duplicates import digests, joined, photograph_groups
from fer_edge.train.data.splits import Dataset, Split

SEED = b"fer-edge val"
"""What the order of the sources is drawn with: the same pictures are always in val, and pictures that are added later
change little."""

MOST_OF_A_CLASS = 0.5
"""Share of a class's pictures with one name beyond which the name numbers the class's pictures: IMG_0001, IMG_0002."""

_NUMBER = re.compile(r"[\s._-]*\(?\d+\)?$")

_logger = logging.getLogger(__name__)


def take_val(dataset: Dataset, share: float) -> Dataset:
    """Take a val split from the train split.

    Pictures that show one photograph, or are called the same but for a number at the end, stay together. The pictures
    of a class that are all of one source are divided nevertheless, with a warning.

    Args:
        dataset: A data set with a train split and none called val.
        share: Share of each class's pictures that val gets, about; a source is not divided.

    Returns:
        The data set with both splits.

    Raises:
        DataError: It has a val split, or no train split, or but one picture of each class.
    """
    train = dataset.split("train")
    if "val" in dataset.splits:
        raise DataError(
            f"{dataset.source} has a val split of {len(dataset.splits['val'])} pictures; leave --val-share out"
        )
    mask, divided = val_rows(train, dataset.files.get("train", ()), share)
    if not mask.any():
        raise DataError(f"{dataset.source} has {len(train)} train pictures, one of a class; expected two at least")
    if divided:
        alike = ", ".join(train.classes[label] for label in divided)
        _logger.warning(
            f"{dataset.source}: the pictures of {alike} are too much alike to be divided by source: the last ones of a "
            "class are val, and accuracy on val will be too high. Pictures of other people or days make it right"
        )
    val = train.rows(mask)
    counts = zip(train.classes, val.counts(), train.counts(), strict=True)
    parts = [f"{name} {held_out} of {count}" for name, held_out, count in counts]
    _logger.info(f"{dataset.source}: val has {len(val)} of {len(train)} train pictures ({', '.join(parts)})")
    files = {"train": dataset.train_files(~mask), "val": dataset.train_files(mask)} if dataset.files else {}
    splits = {"train": train.rows(~mask), "val": val}
    return replace(dataset, splits={**dataset.splits, **splits}, files={**dataset.files, **files})


def val_rows(train: Split, files: Sequence[str], share: float) -> tuple[NDArray[np.bool_], list[int]]:
    """Choose the rows that val gets.

    Args:
        train: N labelled faces.
        files: The pictures' paths, or none.
        share: Share of each class that val gets, about.

    Returns:
        (N,) bool, and the indices of the classes of which no source could be held out: val has their last rows, which
        are far from most others where the pictures are of one recording.
    """
    names = _names(train, files)
    members = _members(train, names)
    keys = _keys(train, names, members)
    total = train.counts()
    wanted, held_out = np.maximum(np.rint(share * total), 1), np.zeros(len(total), np.int64)
    mask, left = np.zeros(len(train), bool), []
    for index in sorted(range(len(members)), key=keys.__getitem__):
        counts = np.bincount(train.labels[members[index]], minlength=len(total))
        nearer = np.abs(held_out + counts - wanted).sum() < np.abs(held_out - wanted).sum()
        if nearer and _leaves_some(counts, held_out, total):
            held_out += counts
            mask[members[index]] = True
        else:
            left.append((len(members[index]), index, counts))
    for _, index, counts in sorted(left, key=lambda each: each[:2]):  # for classes whose sources are few and large
        if (counts[held_out == 0] > 0).any() and _leaves_some(counts, held_out, total):
            held_out += counts
            mask[members[index]] = True
    divided = np.flatnonzero((held_out == 0) & (total > 1)).tolist()
    for label in divided:
        mask[np.flatnonzero(train.labels == label)[-int(wanted[label]) :]] = True
    return mask, divided


def source_name(path: str) -> str:
    """A picture's name without the number at its end: name_01, name-2 and name (3) are of one source."""
    stem = PurePath(path).stem
    return _NUMBER.sub("", stem) or stem


def _leaves_some(counts: NDArray[np.int64], held_out: NDArray[np.int64], total: NDArray[np.int64]) -> bool:
    """Whether train keeps a picture of each class of a source that goes to val."""
    return bool((held_out + counts < total)[counts > 0].all())


def _names(train: Split, files: Sequence[str]) -> list[str]:
    """The source of each row by the file's name; '' where it has none, or where the name but numbers the pictures."""
    if not files:
        return [""] * len(train)
    names = [source_name(path) for path in files]
    counts = Counter(zip(names, train.labels.tolist(), strict=True))
    numbered = {
        name for (name, label), count in counts.items() if count > max(1, train.counts()[label] * MOST_OF_A_CLASS)
    }
    if numbered:
        _logger.warning(
            f"pictures called {shortened(printable(', '.join(sorted(numbered))))} and a number are not taken for one "
            "source, as they are most of a class; near-duplicates stay together"
        )
    return ["" if name in numbered else name for name in names]


def _members(train: Split, names: Sequence[str]) -> list[NDArray[np.int64]]:
    """The rows of each source."""
    first: dict[str, int] = {}
    pairs = ((row, first.setdefault(name, row)) for row, name in enumerate(names) if name)
    groups = joined(photograph_groups(train), pairs)
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _keys(train: Split, names: Sequence[str], members: Sequence[NDArray[np.int64]]) -> list[bytes]:
    """A random key of each source, which does not change with other sources, and seldom with pictures of its own."""
    rows = [digest if not name else os.fsencode(name) for name, digest in zip(names, digests(train.faces), strict=True)]
    return [hashlib.sha256(SEED + min(rows[row] for row in each)).digest() for each in members]
