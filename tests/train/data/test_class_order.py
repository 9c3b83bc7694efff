"""Labels and votes in the order of a model's classes."""

from __future__ import annotations

import numpy as np

from fer_edge.train.data.class_order import in_class_order
from fer_edge.train.data.splits import Split


def test_labels_and_votes_follow_their_classes() -> None:
    votes = np.array([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6]], np.float32)
    split = Split(np.zeros((2, 48, 48), np.uint8), np.array([0, 2]), ("a", "b", "c"), votes)
    other = in_class_order(split, ("c", "a", "b"), "a model")
    assert [other.classes[label] for label in other.labels] == ["a", "c"]
    assert other.votes is not None and other.votes.tolist() == votes[:, [2, 0, 1]].tolist()
