"""Teachers that were fitted without a fold say nothing of the faces that they saw, however they are named."""

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
from fer_edge.train.teachers import _unseen, open_judge, teach
from fer_edge.train.training_targets import in_fold
from fer_edge.train.weights import save_half

pytestmark = pytest.mark.tensorflow

FACES = Split(np.zeros((10, 48, 48), np.uint8), np.arange(10) % 7)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_half(architectures.build("vgg", keras), tmp_path / "float.npz")
    (tmp_path / "recipe.json").write_text(json.dumps({"folds": 2, "fold": 1}))
    return tmp_path


def test_a_file_of_a_run_left_out_what_the_run_did(run: Path) -> None:
    for spec in (run, run / "float.npz", run / "float.keras"):
        assert np.array_equal(_unseen(spec, 10), in_fold(10, 1, 2))


def test_a_fold_alone_teaches_nothing(run: Path) -> None:
    with pytest.raises(DataError, match="5 faces were seen by every teacher"):
        teach([str(run / "float.npz")], FACES)
    with pytest.raises(DataError, match="augmented views"):
        open_judge([str(run / "float.npz")], "float32")


def test_each_face_is_judged_by_the_run_that_never_saw_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fold in (0, 1):
        (tmp_path / str(fold)).mkdir()
        (tmp_path / str(fold) / "recipe.json").write_text(json.dumps({"folds": 2, "fold": fold}))
    says = {str(tmp_path / str(fold)): np.float32(fold) for fold in (0, 1)}
    monkeypatch.setattr(teacher, "open_logits", lambda spec: lambda faces: np.full((len(faces), 7), says[spec]))
    judged, _ = teach(list(says), FACES)
    assert np.array_equal(judged[:, 0] == 1, in_fold(10, 1, 2)) and set(judged.ravel()) == {0, 1}
