"""Teachers: strong networks' logits on the train split, averaged, computed once and kept in half precision."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.files import write_bytes
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.evaluation.predictions import collect_logits
from fer_edge.train.networks import open_logits, open_network
from fer_edge.train.training_targets import Judge, in_fold

_logger = logging.getLogger(__name__)

LOGITS = "teacher_logits.npz"


def teach(specs: Sequence[str], train: Split) -> tuple[NDArray[np.float32], list[str]]:
    """The (N, 7) mean logits of the teachers on the train split, flip-averaged, and the teachers' names.

    A spec is a model, a run folder, or a file that write_logits wrote. A run that was fitted without a fold of the
    split (recipe fields fold and folds) says nothing of the faces it saw: with one run per fold, each face is judged
    only by networks that never saw it. Raises DataError where a face has no teacher, ModelError for what is none.
    """
    _check(specs)
    total, voices = np.zeros((len(train), 7), np.float32), np.zeros((len(train), 1), np.float32)
    names: list[str] = []
    for spec in specs:
        if Path(spec).suffix == ".npz" and (kept := read_logits(Path(spec), train)) is not None:
            logits, among = kept
            heard = np.ones(len(train), bool)
            names += among
        else:
            _logger.info(f"teacher {spec}: logits of {len(train)} faces")
            logits = collect_logits(open_logits(spec), train.faces, flip=True, label=f"teacher {spec}").mean(axis=0)
            heard = _unseen(Path(spec), len(train))
            names.append(_name(Path(spec)))
        total[heard] += logits[heard]
        voices[heard] += 1
    if not voices.all():
        silent = int(np.sum(voices == 0))
        raise DataError(
            f"{silent} faces were seen by every teacher; expected a run for each fold, or one without folds"
        )
    return total / voices, names


def open_judge(specs: Sequence[str], precision: str) -> tuple[Judge, list[str]]:
    """Teachers that see every view that their student sees (Beyer et al. 2022, arXiv:2106.05237), and their names.

    A spec is a run folder, a .keras or a .npz of float weights; the latter compute in the precision given, a Keras
    policy. Views are resized to each teacher's input. Raises DataError for a run that was fitted without a fold: a
    view does not say which face it is of, so that its student would hear of faces that the teacher saw.
    """
    import keras

    from fer_edge.train.loop import computing_in

    _check(specs)
    for spec in specs:
        if _fold(Path(spec))[1]:
            raise DataError(
                f"--teacher {spec} was fitted without a fold; expected one without folds for augmented views, "
                "or --teacher-views plain with a run for each fold"
            )
    with computing_in(precision):
        networks = [open_network(Path(spec)) for spec in specs]

    def judge(views: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros((len(views), 7), np.float32)
        for network in networks:
            size = network.input_shape[1:3]
            seen = views if views.shape[1:3] == size else keras.ops.image.resize(views, size)
            total += keras.ops.convert_to_numpy(network.predict_on_batch(seen))
        return total / np.float32(len(networks))

    return judge, [_name(Path(spec)) for spec in specs]


def _check(specs: Sequence[str]) -> None:
    """ModelError for what is not there, before the first teacher has judged for minutes."""
    for spec in specs:
        if spec not in MODEL_NAMES and not Path(spec).exists():
            raise ModelError(
                f"--teacher {spec}: no such file or folder; expected a run folder, a model, or a teacher_logits.npz"
            )


def _name(spec: Path) -> str:
    """What a teacher is called: its run folder, or its file where that has a name of its own."""
    return spec.parent.name if spec.stem == "float" else spec.name


def _unseen(spec: Path, count: int) -> NDArray[np.bool_]:
    """Which faces a run was not fitted on; all of them where it was fitted on the whole split."""
    fold, folds = _fold(spec)
    return in_fold(count, fold, folds) if folds else np.ones(count, bool)


def _fold(spec: Path) -> tuple[int, int]:
    """The fold that a run left out and of how many, 0 where of none; of a run folder or a file in it."""
    run = spec if spec.is_dir() else spec.parent
    try:
        recipe = json.loads((run / "recipe.json").read_text("utf-8"))
    except (OSError, ValueError):
        recipe = {}
    return int(recipe.get("fold", 0)), int(recipe.get("folds", 0))


def write_logits(path: Path, logits: NDArray[np.float32], names: Sequence[str], train: Split) -> None:
    """Keep (N, 7) logits in half precision with the teachers' names and the split's fingerprint (.npz)."""
    content = io.BytesIO()
    np.savez_compressed(
        content, logits=logits.astype(np.float16), teachers=np.array(list(names)), data=np.array(fingerprint(train))
    )
    write_bytes(path, content.getvalue())


def read_logits(path: Path, train: Split) -> tuple[NDArray[np.float32], list[str]] | None:
    """What write_logits wrote, or None for another kind of .npz.

    Raises DataError where it belongs to other faces, ModelError where it cannot be read.
    """
    expected = "a teacher_logits.npz or float.npz that training wrote"
    arrays = read_arrays(path, expected)
    if "teachers" not in arrays:
        return None
    if not {"logits", "data"} <= set(arrays) or arrays["logits"].dtype.kind != "f":
        raise DataError(f"{path} holds no teachers' logits; expected {expected}")
    if str(arrays["data"]) != fingerprint(train):
        raise DataError(f"{path} was made from another train split; make it anew with --teacher and the models")
    return arrays["logits"].astype(np.float32), arrays["teachers"].tolist()
