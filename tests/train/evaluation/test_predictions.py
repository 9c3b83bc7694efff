"""Logits of a labelled split."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from random_faces import random_faces

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.train.evaluation.predictions import collect_logits


def first_column(crops: np.ndarray) -> np.ndarray:
    return crops[:, :7, 0].astype(np.float32)


@pytest.mark.parametrize("workers", [1, 3])
def test_views_are_collected_face_by_face_in_order(workers: int) -> None:
    many = random_faces(600)  # more than are asked about in one go
    plain, mirrored = collect_logits([first_column] * workers, many, flip=True)
    assert np.array_equal(plain, many[:, :7, 0]) and np.array_equal(mirrored, many[:, :7, -1])


def test_a_model_that_fails_in_a_thread_ends_all() -> None:
    def damaged(crops: np.ndarray) -> np.ndarray:
        return np.full((len(crops), 7), np.nan, np.float32)

    with pytest.raises(ModelError, match="no numbers"):
        collect_logits([first_column, damaged], random_faces(600))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("logits")]


def test_no_figure_depends_on_the_number_of_workers(synthetic_csv: Path) -> None:
    words = ["evaluate", "mobilenet_v2", "mobilenet_v2_small", "--data", str(synthetic_csv), "--tta", "flip", "--json"]
    first, *others = [
        CliRunner().invoke(main, [*words, *more])
        for more in ([], ["--workers", "1"], ["--workers", "3"], ["--workers", "2", "--threads", "2"])
    ]
    assert first.exit_code == 0 and first.stdout.count("\n") == 3, first.output
    assert [each.stdout for each in others] == [first.stdout] * 3
