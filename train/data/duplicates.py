"""Pictures that a data set holds more than once: byte for byte, or as the same photograph cropped otherwise."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, SinkError
from fer_edge.edge.files.writing import atomic_path
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.photographs import SAME_PHOTOGRAPH, same_photographs
from fer_edge.train.data.splits import Split

_VERSION = f"1 {SAME_PHOTOGRAPH}"
"""What pairs were found with; pairs of another version are found again."""

MOST_COMPARED = 8_000_000_000
"""Comparisons, of each picture with each, up to which the same photographs are searched: 89,000 pictures, for some
minutes, or 89,000 with as many others, for a quarter of an hour."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Overlap:
    """Which of a split's N rows are in the train split as well.

    Attributes:
        exact: (N,) bool, rows that are there byte for byte.
        near: (N,) bool, other rows whose photograph is there.
    """

    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]

    @property
    def clean(self) -> NDArray[np.bool_]:
        """(N,) bool, rows whose photograph is not in the train split."""
        return ~(self.exact | self.near)


def overlap(split: Split, reference: Split, near: bool = True) -> Overlap:
    """Find the rows of a split whose photograph is in a reference split, which takes seconds and is cached.

    Beyond MOST_COMPARED, or if `near` is False, only rows that are there byte for byte are found.
    """
    known = set(digests(reference.faces))
    exact = np.array([digest in known for digest in digests(split.faces)], bool)
    same = np.zeros(len(split), bool)
    if near:
        same[_pairs(split.faces, reference.faces)[:, 0]] = True
    return Overlap(exact, same & ~exact)


def shared_rows(split: Split, reference: Split) -> NDArray[np.bool_]:
    """(N,) bool, the rows of a split whose photograph is in a reference split, looked for from either one."""
    shared = ~overlap(split, reference).clean
    shared[_pairs(reference.faces, split.faces)[:, 1]] = True
    return shared


def exact_groups(split: Split) -> NDArray[np.int64]:
    """(N,) int64 index of the first row with the same bytes as each row."""
    return equal_groups(digests(split.faces))


def equal_groups(values: Sequence[bytes]) -> NDArray[np.int64]:
    """(N,) int64 index of the first value that is equal to each one."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(value, row) for row, value in enumerate(values)], np.int64)


def photograph_groups(split: Split) -> NDArray[np.int64]:
    """(N,) int64 index of the first row with the same photograph as each row, over any number of rows between.

    Finding them takes half a minute for 30,000 rows and is cached; of more than 89,000, only equal ones are found.
    """
    return joined(exact_groups(split), _pairs(split.faces))


def joined(groups: NDArray[np.int64], pairs: Iterable[Sequence[int]] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) int64 index of the first row of each row's group, where the groups of each pair of rows become one."""
    groups = groups.copy()
    for row, other in pairs:
        one, another = _first(groups, row), _first(groups, other)
        groups[max(one, another)] = min(one, another)
    return np.array([_first(groups, row) for row in range(len(groups))], np.int64)


def constant(split: Split) -> NDArray[np.bool_]:
    """(N,) bool, pictures of one gray level; they show no photograph, and are duplicates only byte for byte."""
    pixels = split.faces.reshape(len(split), -1)
    return np.asarray(pixels.min(axis=1) == pixels.max(axis=1))


def _first(groups: NDArray[np.int64], row: int) -> int:
    """The first row of a row's group, following the rows that point to others."""
    while groups[row] != row:
        row = int(groups[row])
    return row


def digests(faces: NDArray[np.uint8]) -> list[bytes]:
    """The sha256 of each face's pixels."""
    return [hashlib.sha256(face.tobytes()).digest() for face in faces]


def _pairs(faces: NDArray[np.uint8], others: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
    """`same_photographs`, from the user's cache folder where it was found before; none of too many pictures."""
    cache = _cache_file(faces, others)
    if cache:
        try:
            pairs = read_arrays(cache, "pairs")["pairs"]
            if pairs.dtype == np.int64 and pairs.ndim == 2 and pairs.shape[1] == 2:
                return pairs
        except (ModelError, KeyError):
            pass  # found again
    if len(faces) * len(faces if others is None else others) > MOST_COMPARED:
        what = f"{len(faces)} pictures" if others is None else f"{len(faces)} and {len(others)} pictures"
        _logger.warning(f"{what} are too many to search for the same photographs; only equal pictures are found")
        return np.empty((0, 2), np.int64)
    pairs = same_photographs(faces, others)
    if cache:
        try:
            with atomic_path(cache) as temporary:
                np.savez_compressed(temporary, pairs=pairs)
        except SinkError as error:
            _logger.info(f"{error}; the next run looks for duplicates again")
    return pairs


def _cache_file(faces: NDArray[np.uint8], others: NDArray[np.uint8] | None) -> Path | None:
    """The file in the user's cache folder for pairs of these pictures; None without a folder."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    digest = hashlib.sha256(_VERSION.encode())
    for pictures in (faces, faces[:0] if others is None else others):
        digest.update(len(pictures).to_bytes(8))
        digest.update(np.ascontiguousarray(pictures).ravel().data)  # not copied: a data set may be gigabytes
    return Path(folder, "fer-edge", "duplicates", f"{digest.hexdigest()}.npz") if os.path.isabs(folder) else None
