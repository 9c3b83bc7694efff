"""Logits of a labelled split."""

from __future__ import annotations

import numpy as np
from random_faces import random_faces

from fer_edge.train.evaluation.predictions import collect_logits


def test_views_are_collected_face_by_face_in_order() -> None:
    def first_column(crops: np.ndarray) -> np.ndarray:
        return crops[:, :7, 0].astype(np.float32)

    many = random_faces(600)  # more than are asked about in one go
    plain, mirrored = collect_logits(first_column, many, flip=True)
    assert np.array_equal(plain, many[:, :7, 0]) and np.array_equal(mirrored, many[:, :7, -1])
