"""Teachers that were trained without a fold count only on its faces, in whatever form they are given."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from fer_edge.edge.errors import DataError
from fer_edge.train import architectures
from fer_edge.train import teachers as teacher
from fer_edge.train.data.splits import Split
from fer_edge.train.teachers import held_out_faces, open_teachers, teacher_logits
from fer_edge.train.training_targets import in_fold
from fer_edge.train.weights import save_half

pytestmark = pytest.mark.tensorflow

NAMES = tuple("abcdefg")
FACES = Split(np.zeros((10, 48, 48), np.uint8), np.arange(10) % 7, NAMES)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_half(architectures.build("vgg", keras, classes=7), tmp_path / "float.npz", NAMES)
    (tmp_path / "recipe.json").write_text(json.dumps({"folds": 2, "fold": 1}))
    return tmp_path


def test_a_file_of_a_run_has_the_runs_held_out_fold(run: Path) -> None:
    for spec in (run, run / "float.npz", run / "float.keras"):
        assert np.array_equal(held_out_faces(spec, 10), in_fold(10, 1, 2))


def test_a_teacher_of_one_fold_alone_is_refused(run: Path) -> None:
    with pytest.raises(DataError, match="trained on 5 of the faces"):
        teacher_logits([str(run / "float.npz")], FACES)
    with pytest.raises(DataError, match="augmented views"):
        open_teachers([str(run / "float.npz")], "float32", NAMES)


def test_each_face_has_the_logits_of_the_run_that_was_not_trained_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fold in (0, 1):
        (tmp_path / str(fold)).mkdir()
        (tmp_path / str(fold) / "recipe.json").write_text(json.dumps({"folds": 2, "fold": fold}))
    values = {str(tmp_path / str(fold)): np.float32(fold) for fold in (0, 1)}
    monkeypatch.setattr(
        teacher, "open_logits", lambda spec, classes: lambda faces: np.full((len(faces), 7), values[spec])
    )
    logits, _ = teacher_logits(list(values), FACES)
    assert np.array_equal(logits[:, 0] == 1, in_fold(10, 1, 2)) and set(logits.ravel()) == {0, 1}
