"""Rows with the same photograph and different labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.data.duplicates import photograph_groups
from fer_edge.train.data.splits import Split

RESOLUTIONS = ("keep", "vote", "drop")
"""Every row keeps its label; its photograph's most frequent one counts; or what is in conflict is left out."""


def conflicting(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) bool, the rows in groups with several labels. groups: (N,) first row of each row's group."""
    mixed = np.zeros(len(groups), bool)
    mixed[groups[labels != labels[groups]]] = True
    return mixed[groups]


def resolve(split: Split, resolution: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Resolve the conflicts between the labels of one photograph.

    Args:
        split: N labelled faces.
        resolution: 'keep' changes nothing. 'vote' gives the rows of a photograph the label that most of them have, and
            leaves them out where two labels are equally frequent. 'drop' leaves out the rows in conflict.

    Returns:
        (N,) labels, and the (N,) bool mask of the rows that are not left out.
    """
    labels, kept = split.labels.copy(), np.ones(len(split), bool)
    if resolution == "keep":
        return labels, kept
    groups = photograph_groups(split)
    rows = np.flatnonzero(conflicting(groups, split.labels))
    kept[rows] = False
    if resolution == "vote":
        votes = np.zeros((len(split), len(split.classes)), np.int64)
        np.add.at(votes, (groups[rows], split.labels[rows]), 1)
        winners = votes.argmax(axis=1)
        clear = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
        labels[rows], kept[rows] = winners[groups[rows]], clear[groups[rows]]
    return labels, kept
