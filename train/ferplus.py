"""FER+'s votes of ten annotators per face, as soft targets (Barsoum et al. 2016, arXiv:1608.01041)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, shortened
from fer_edge.train.data.class_order import named
from fer_edge.train.data.csv_rows import UNREADABLE, open_lines
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.data.splits import Split

COLUMNS = {"anger": "angry", "disgust": "disgust", "fear": "fear", "happiness": "happy", "sadness": "sad",
           "surprise": "surprise", "neutral": "neutral"}  # fmt: skip
"""FER+'s columns by FER2013's class; contempt, unknown and NF (not a face) have none."""

MAX_VOTES = 1000
"""Annotators of a face; FER+ has ten."""


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
    labels = train.labels
    if train.classes != CLASSES:
        raise DataError(
            f"--ferplus: the data has the classes {named(train.classes)}; FER+'s votes are on {named(CLASSES)}, the "
            "classes of FER2013's CSV: give that as --data"
        )
    counts = _read_counts(path)
    if len(counts) != len(labels):
        raise DataError(
            f"{path} has {len(counts)} Training rows; expected {len(labels)}, one for each face of the train split, "
            "which --val-share and --drop-duplicates make smaller"
        )
    votes = np.array(counts, np.float32).reshape(-1, len(CLASSES))
    without_votes = votes.sum(axis=1) == 0
    agrees = votes[np.arange(len(labels)), labels] > 0
    # in the CSV's order 84 % have a vote for their label, in a folder tree's 36 %
    if not without_votes.all() and agrees[~without_votes].mean() < 0.5:
        raise DataError(
            f"{path}: its votes belong to other rows, most faces have none for their label; expected the CSV's order: "
            "give the CSV as --data, not a folder tree"
        )
    votes[without_votes] = np.eye(len(CLASSES), dtype=np.float32)[labels[without_votes]]
    return votes / votes.sum(axis=1, keepdims=True)


def _read_counts(path: Path) -> list[list[int]]:
    """The votes of each Training row, in the order of CLASSES."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"--ferplus {path} is no file; expected FER+'s fer2013new.csv")
    try:
        with open_lines(path) as lines:
            reader = csv.DictReader(line.decode("utf-8") for line in lines)
            missing = {"Usage", *COLUMNS} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {min(missing)}; expected FER+'s fer2013new.csv")
            columns = sorted(COLUMNS, key=lambda column: CLASSES.index(COLUMNS[column]))
            return [
                _votes(path, number, row, columns)
                for number, row in enumerate(reader, start=2)
                if row["Usage"] == "Training"
            ]
    except FileNotFoundError:
        raise DataError(f"--ferplus {path}: no such file; expected FER+'s fer2013new.csv") from None
    except (*UNREADABLE, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a FER+ CSV: {shortened(error, 120)}") from None


def _votes(path: Path, number: int, row: dict[str, str], columns: list[str]) -> list[int]:
    try:
        votes = [int(row[column]) for column in columns]
    except (TypeError, ValueError):
        votes = [-1]
    if min(votes) < 0 or max(votes) > MAX_VOTES:
        raise DataError(f"{path}, row {number}: a vote is not a whole number from 0 to {MAX_VOTES}; correct the file")
    return votes
