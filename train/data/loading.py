"""Load a data set: a CSV or a tree of class folders."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.train.data import repeated_rows
from fer_edge.train.data.class_folders import list_folders
from fer_edge.train.data.class_names import SEVEN, class_indices, described_classes, parse_classes, resolve_classes
from fer_edge.train.data.face_cache import ReadFaces
from fer_edge.train.data.ferplus import label_by_votes
from fer_edge.train.data.labelled_csv import read_csv
from fer_edge.train.data.listing import Listing, read_listing
from fer_edge.train.data.remarks import remarks
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.data.val_share import take_val

WITHOUT_CLASS = "pictures of labels that --classes leaves out"

_logger = logging.getLogger(__name__)


def load(
    path: Path | str,
    *,
    skip_bad: bool = False,
    classes: str | None = None,
    ferplus: Path | None = None,
    val_share: float | None = None,
    drop_duplicates: bool = False,
) -> Dataset:
    """Load a labelled data set.

    What was left out, skipped or looks wrong is logged.

    Args:
        path: A CSV (plain, .gz, .xz or .zip): FER2013's, or one with the columns label, pixels or path, and split if
            there is more than train; or the root of a class-folder tree (SPLIT/CLASS/picture or CLASS/picture). What
            was read is cached beside it as NAME.fer-edge.npz, or in the user's cache folder.
        skip_bad: Whether bad rows and pictures are skipped, and their number logged, instead of raising.
        classes: The classes in their order, or their names by label, see
            `fer_edge.train.data.class_names.parse_classes`; the labels sorted by name where None.
        ferplus: FER+'s CSV, whose votes label FER2013's rows, see `fer_edge.train.data.ferplus.label_by_votes`; None
            for their own labels.
        val_share: Share of the train split's pictures that become the val split, see
            `fer_edge.train.data.val_share.take_val`; None where there is a val split or none is needed.
        drop_duplicates: Whether train loses what it holds again or another split holds too, see
            `fer_edge.train.data.repeated_rows.drop_duplicates`.

    Returns:
        The splits that there are, as (N, 48, 48) uint8 faces, mapped from the cache, and (N,) int64 labels with the
        names of their classes.

    Raises:
        ConfigError: `classes` cannot be read.
        DataError: There is no such file or folder, it is no data set, its classes are not clear, or a row or picture is
            bad; the error names the row's number or the picture's path.
        SinkError: There is no space on the disk for faces that are too many for memory.
    """
    path = Path(path)
    naming = None if classes is None else parse_classes(classes)
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file or folder; expected a CSV or a tree of class folders")
    listing: Listing | None
    if path.is_dir():
        listing = list_folders(path)
        read = read_listing(listing, skip_bad)
    else:
        read, listing = read_csv(path, skip_bad, naming)
    if not read.splits:
        raise DataError(f"{path}: none of its {read.counts['skipped']} pictures can be decoded")
    codes = np.concatenate([split.codes for split in read.splits.values()])
    try:
        naming = resolve_classes(read.labels, np.bincount(codes, minlength=len(read.labels)).tolist(), naming)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    indices = class_indices(read.labels, naming)
    dataset = _dataset(path, read, listing, indices, naming.classes)
    if not dataset.splits:
        raise DataError(f"{path}: no picture is left ({'; '.join(remarks(dataset))})")
    if naming is not SEVEN or any(label not in naming.classes for label in read.labels):
        _logger.info(f"{path}: {described_classes(read.labels, naming)}")
    if ferplus is not None:
        dataset = label_by_votes(dataset, ferplus)
    if val_share is not None:
        dataset = take_val(dataset, val_share)
    if drop_duplicates:
        dataset = repeated_rows.drop_duplicates(dataset)
    for remark in remarks(dataset):
        _logger.warning(f"{path}: {remark}")
    return dataset


def _dataset(
    path: Path, read: ReadFaces, listing: Listing | None, indices: NDArray[np.int64], classes: tuple[str, ...]
) -> Dataset:
    """The data set of what was read, without the pictures whose label has no class.

    indices: (L,) the class of each label, -1 for none.
    """
    splits, files, without_class = {}, {}, 0
    for name, part in read.splits.items():
        labels = indices[part.codes]
        kept = labels >= 0
        without_class += int((~kept).sum())
        if kept.any():
            splits[name] = Split(part.faces, labels, classes).rows(kept)
            files[name] = [listing.paths[row] for row in part.rows[kept]] if listing else []
    return Dataset(
        path,
        splits,
        read.counts.get("skipped", 0),
        {**(listing.left_out if listing else {}), **({WITHOUT_CLASS: without_class} if without_class else {})},
        tiny=read.counts.get("tiny", 0),
        large=read.counts.get("large", 0),
        files=files if listing else {},
    )
