"""The train split without what it holds more than once, or another split holds too."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from fer_edge.edge.errors import DataError
from fer_edge.train.data.duplicates import digests, shared_rows
from fer_edge.train.data.splits import Dataset

_logger = logging.getLogger(__name__)


def drop_duplicates(dataset: Dataset) -> Dataset:
    """Leave out of the train split what val or test hold too, and what it holds again with the same label.

    The other splits stay as they are. Finding the same photograph, cropped otherwise, in another split takes seconds
    to minutes and is cached.

    Args:
        dataset: A data set with a train split.

    Returns:
        The data set, with the numbers of rows that were left out in `dropped`: by split those whose photograph is
        there, and `repeated` the others that are byte for byte the same as an earlier row with the same label.

    Raises:
        DataError: There is no train split, or nothing of it is left.
    """
    train = dataset.split("train")
    kept, dropped = np.ones(len(train), bool), {}
    for name, split in dataset.splits.items():
        if name != "train":
            elsewhere = shared_rows(train, split)
            dropped[name] = int((kept & elsewhere).sum())
            kept &= ~elsewhere
    seen: set[tuple[bytes, int]] = set()
    first = np.zeros(len(train), bool)
    for row in np.flatnonzero(kept):
        key = digests(train.faces[row : row + 1])[0], int(train.labels[row])
        first[row] = key not in seen
        seen.add(key)
    dropped["repeated"] = int((kept & ~first).sum())
    if not first.any():
        raise DataError(
            f"{dataset.source}: all {len(train)} train pictures show photographs of other splits, and nothing is left; "
            "leave --drop-duplicates out, or add pictures"
        )
    parts = [f"{count} {'repeated' if name == 'repeated' else f'also in {name}'}" for name, count in dropped.items()]
    _logger.info(f"{dataset.source}: {(~first).sum()} of {len(train)} train pictures left out ({', '.join(parts)})")
    files = {**dataset.files, "train": dataset.train_files(first)} if dataset.files else {}
    return replace(dataset, splits={**dataset.splits, "train": train.rows(first)}, files=files, dropped=dropped)
