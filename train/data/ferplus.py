"""FER+'s votes of ten annotators per face (Barsoum et al. 2016, arXiv:1608.01041): soft targets for FER2013's seven
classes, or labels of eight, with contempt."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, shortened
from fer_edge.train.data.class_order import named
from fer_edge.train.data.csv_rows import UNREADABLE, open_lines
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.data.splits import SPLIT_NAMES, Dataset, Split

COLUMNS = {"anger": "angry", "disgust": "disgust", "fear": "fear", "happiness": "happy", "sadness": "sad",
           "surprise": "surprise", "neutral": "neutral", "contempt": "contempt"}  # fmt: skip
"""FER+'s columns by the class; unknown and NF (not a face) have none."""

NO_CLASS = ("unknown", "NF")

EIGHT = (*CLASSES, "contempt")

MAX_VOTES = 1000
"""Annotators of a face; FER+ has ten."""

_logger = logging.getLogger(__name__)


def read_votes(path: Path, train: Split) -> NDArray[np.float32]:
    """Read the votes on the train split from FER+'s `fer2013new.csv`, row by row in the order of FER2013's CSV.

    Args:
        path: The CSV file.
        train: The train split of FER2013, of N faces.

    Returns:
        (N, 7) float32 shares of the votes, in the order of the classes. A face whose votes are all on contempt, unknown
        or 'not a face' has its label instead.

    Raises:
        DataError: The data has other classes than FER2013; or the file is no FER+ CSV, has a bad row, or its Training
            rows are not as many as the split's faces or belong to other faces.
    """
    _check_classes(path, "--ferplus", train.classes)
    votes = _aligned(path, read_counts(path, "--ferplus"), "train", train)[:, : len(CLASSES)].astype(np.float32)
    without_votes = votes.sum(axis=1) == 0
    votes[without_votes] = np.eye(len(CLASSES), dtype=np.float32)[train.labels[without_votes]]
    return votes / votes.sum(axis=1, keepdims=True)


def label_by_votes(dataset: Dataset, path: Path) -> Dataset:
    """FER2013 with the labels of FER+: the class that most annotators chose, of eight.

    A class that a single annotator chose counts for nothing. Rows without a majority (no class has more than half of
    what is left) and those that are 'unknown' or no face are left out, after FER+'s mode 'majority'; how many
    is logged.

    Args:
        dataset: FER2013 as its CSV has it.
        path: FER+'s `fer2013new.csv`.

    Returns:
        The rows that have a majority, with the classes EIGHT, and the shares of the votes for them as `votes`.

    Raises:
        DataError: The data has other classes than FER2013; or the file is no FER+ CSV, has a bad row, or its rows are
            not as many as a split's faces or belong to other faces.
    """
    _check_classes(path, "--ferplus-labels", dataset.classes)
    counts, splits = read_counts(path, "--ferplus-labels"), {}
    for name, split in dataset.splits.items():
        votes = _aligned(path, counts, name, split)
        votes = np.where(votes > 1, votes, 0)
        kept = (2 * votes.max(axis=1) > votes.sum(axis=1)) & (votes.argmax(axis=1) < len(EIGHT))
        shares = votes[kept, : len(EIGHT)].astype(np.float32)
        shares /= shares.sum(axis=1, keepdims=True)
        faces = split.rows(kept).faces
        splits[name] = Split(faces, shares.argmax(axis=1).astype(np.int64), EIGHT, shares)
        _logger.info(
            f"{path}: {len(faces)} of {len(split)} rows of {name} have a majority of votes for one of "
            f"{len(EIGHT)} classes"
        )
    return replace(dataset, splits=splits)


def _check_classes(path: Path, option: str, classes: tuple[str, ...]) -> None:
    """DataError where the data is not of FER2013's classes."""
    if classes != CLASSES:
        raise DataError(
            f"{option} {path}: the data has the classes {named(classes)}; FER+'s votes belong to the rows of FER2013's "
            f"CSV, with {named(CLASSES)}: give that as --data"
        )


def _aligned(path: Path, counts: dict[str, NDArray[np.int64]], name: str, split: Split) -> NDArray[np.int64]:
    """(N, 10) votes of a split's rows for EIGHT and NO_CLASS. Raises DataError where they belong to other rows."""
    votes = counts.get(name, np.zeros((0, len(EIGHT) + len(NO_CLASS)), np.int64))
    usage = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}[name]
    if len(votes) != len(split):
        raise DataError(
            f"{path} has {len(votes)} {usage} rows; expected {len(split)}, one for each face of the {name} split"
        )
    without_votes = votes[:, : len(CLASSES)].sum(axis=1) == 0
    agrees = votes[np.arange(len(split)), split.labels] > 0
    # in the CSV's order 84 % have a vote for their label, in a folder tree's 36 %
    if not without_votes.all() and agrees[~without_votes].mean() < 0.5:
        raise DataError(
            f"{path}: its votes belong to other rows, most faces have none for their label; expected the CSV's order: "
            "give the CSV as --data, not a folder tree"
        )
    return votes


def read_counts(path: Path, option: str) -> dict[str, NDArray[np.int64]]:
    """The votes of each row for EIGHT and then NO_CLASS, (N, 10) int64 by split.

    Args:
        path: FER+'s `fer2013new.csv`.
        option: The option that named it, for the error message.

    Raises:
        DataError: The file is no FER+ CSV, or has a bad row.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"{option} {path} is no file; expected FER+'s fer2013new.csv")
    columns = [*sorted(COLUMNS, key=lambda column: EIGHT.index(COLUMNS[column])), *NO_CLASS]
    rows: dict[str, list[list[int]]] = {}
    try:
        with open_lines(path) as lines:
            reader = csv.DictReader(line.decode("utf-8") for line in lines)
            missing = {"Usage", *columns} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {min(missing)}; expected FER+'s fer2013new.csv")
            for number, row in enumerate(reader, start=2):
                split = SPLIT_NAMES.get(str(row["Usage"]).lower(), "")
                rows.setdefault(split, []).append(_votes(path, number, row, columns))
    except FileNotFoundError:
        raise DataError(f"{option} {path}: no such file; expected FER+'s fer2013new.csv") from None
    except (*UNREADABLE, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a FER+ CSV: {shortened(error, 120)}") from None
    return {name: np.array(votes, np.int64) for name, votes in rows.items()}


def _votes(path: Path, number: int, row: dict[str, str], columns: list[str]) -> list[int]:
    try:
        votes = [int(row[column]) for column in columns]
    except (TypeError, ValueError):
        votes = [-1]
    if min(votes) < 0 or max(votes) > MAX_VOTES:
        raise DataError(f"{path}, row {number}: a vote is not a whole number from 0 to {MAX_VOTES}; correct the file")
    return votes
