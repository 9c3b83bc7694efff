"""Rows of a split whose photograph is not in the train split: computed, or from a list that was made before."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.train.data.duplicates import Overlap, overlap
from fer_edge.train.data.photographs import SAME_PHOTOGRAPH
from fer_edge.train.data.splits import Dataset, Split, fingerprint

FER2013_LIST = Path(__file__).with_name("fer2013_duplicates.json")
"""PublicTest's rows whose photograph is in Training, which `fer-edge data duplicates` wrote.

Rows count from 0 within PublicTest; row 0 is line 28,711 of the official fer2013.csv, whose line 1 is the header.
"""

LEAST_ROWS = 100
"""Clean rows on which choices are made rather than on all; fewer would choose by chance."""

_logger = logging.getLogger(__name__)


def rows_in_train(dataset: Dataset, name: str) -> Overlap | None:
    """Find the rows of a split that are in the train split too.

    Args:
        dataset: The data set.
        name: The split.

    Returns:
        The rows: all of the train split itself; computed where the data set has a train split, else from FER2013_LIST
        where that is of this split, else None, which means that it is not known.

    Raises:
        DataError: The data set has no split of that name.
    """
    split = dataset.split(name)
    if name == "train":
        return Overlap(np.ones(len(split), bool), np.zeros(len(split), bool))
    if "train" in dataset.splits:
        return overlap(split, dataset.split("train"))
    for stored in read_json(FER2013_LIST)["splits"].values():
        if stored["sha256"] == fingerprint(split):
            return Overlap(_mask(stored["exact"], len(split)), _mask(stored["near"], len(split)))
    return None


def clean_split(dataset: Dataset, name: str) -> Split:
    """The rows of a split on which choices are made: the clean ones, whose photograph is not in the train split.

    Args:
        dataset: The data set.
        name: The split.

    Returns:
        The clean rows; all rows where it is not known which are clean, or fewer than LEAST_ROWS are.

    Raises:
        DataError: The data set has no split of that name.
    """
    split, rows = dataset.split(name), rows_in_train(dataset, name)
    if rows is None or rows.clean.sum() < LEAST_ROWS:
        return split
    _logger.info(
        f"choices are made on {rows.clean.sum()} of {len(split)} rows of {name}: their photograph is not in train"
    )
    return split.rows(rows.clean)


def write_list(path: Path, dataset: Dataset) -> dict[str, Overlap]:
    """Write the rows of each other split that are in the train split too, as JSON.

    Args:
        path: The file.
        dataset: A data set with a train split.

    Returns:
        The rows by split.

    Raises:
        DataError: The data set has no train split, or no other one.
        SinkError: The file cannot be written.
    """
    train = dataset.split("train")
    names = [name for name in dataset.splits if name != "train"]
    if not names:
        raise DataError(f"{dataset.source} has a train split alone; expected another one to compare with it")
    rows = {name: overlap(dataset.split(name), train) for name in names}
    entries: dict[str, dict[str, Any]] = {
        name: {
            "pictures": len(dataset.split(name)),
            "sha256": fingerprint(dataset.split(name)),
            "exact": np.flatnonzero(rows[name].exact).tolist(),
            "near": np.flatnonzero(rows[name].near).tolist(),
        }
        for name in names
    }
    about = {
        "about": "Rows whose photograph is in the train split: byte for byte (exact), or cropped otherwise (near). "
        "Rows count from 0 within their split.",
        "threshold": SAME_PHOTOGRAPH,
        "train": {"pictures": len(train), "sha256": fingerprint(train)},
    }
    write_json(path, about | {"splits": entries})
    return rows


def _mask(rows: list[int], count: int) -> NDArray[np.bool_]:
    """(count,) bool, True for the rows."""
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask
