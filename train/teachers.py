"""Teachers for distillation: their logits on the train split, computed once, or the networks themselves."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.files.documents import read_json
from fer_edge.edge.files.writing import write_bytes
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.class_order import class_order, named
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.evaluation.predictions import collect_logits
from fer_edge.train.networks import dtype_policy, open_logits, open_network
from fer_edge.train.stored_classes import checked_classes
from fer_edge.train.training_targets import Teacher, in_fold

LOGITS_FILE = "teacher_logits.npz"

_logger = logging.getLogger(__name__)


def teacher_logits(specs: Sequence[str], train: Split) -> tuple[NDArray[np.float32], list[str]]:
    """The teachers' mean logits on the plain faces of the train split, averaged over the mirrored faces too.

    A run that was trained without a fold of the split (recipe fields folds and fold) counts only on the faces of that
    fold: with one run per fold, each face has logits only of networks that were not trained on it.

    Args:
        specs: Models, run folders, or files that write_logits wrote.
        train: The train split, of N faces.

    Returns:
        (N, C) float32 logits, and the teachers' names.

    Raises:
        DataError: Every teacher was trained on some of the faces, or a logits file belongs to other faces.
        ModelError: A teacher is missing, cannot be loaded, or has other classes.
    """
    _check_existence(specs)
    total = np.zeros((len(train), len(train.classes)), np.float32)
    counts = np.zeros((len(train), 1), np.float32)
    names: list[str] = []
    for spec in specs:
        if Path(spec).suffix == ".npz" and (stored := read_logits(Path(spec), train)) is not None:
            logits, stored_names = stored
            usable = np.ones(len(train), bool)
            names += stored_names
        else:
            _logger.info(f"teacher {spec}: logits of {len(train)} faces")
            model = open_logits(spec, train.classes)
            logits = collect_logits(model, train.faces, flip=True, label=f"teacher {spec}").mean(axis=0)
            usable = held_out_faces(Path(spec), len(train))
            names.append(_name(Path(spec)))
        total[usable] += logits[usable]
        counts[usable] += 1
    if not counts.all():
        missing = int(np.sum(counts == 0))
        raise DataError(
            f"every teacher was trained on {missing} of the faces; expected a run for each fold, or one without folds"
        )
    return total / counts, names


def open_teachers(specs: Sequence[str], precision: str, classes: tuple[str, ...]) -> tuple[Teacher, list[str]]:
    """Teachers that run on every view that their student sees (Beyer et al. 2022, arXiv:2106.05237).

    Args:
        specs: Run folders, .keras or .npz files of float weights.
        precision: Keras policy in which networks of .npz files compute.
        classes: (C,) names of the data's classes, in whose order the logits are.

    Returns:
        A function from views, which it resizes to each teacher's input, to the teachers' mean logits; and their names.

    Raises:
        DataError: A run was trained without a fold. A view does not say which face it shows, so that the student would
            learn from a teacher that was trained on that face.
        ModelError: A teacher is missing, cannot be loaded, or has other classes.
    """
    from fer_edge.train.backend import keras

    _check_existence(specs)
    for spec in specs:
        if _fold(Path(spec))[1]:
            raise DataError(
                f"--teacher {spec} was trained without a fold; expected one without folds for augmented views, "
                "or --teacher-views plain with a run for each fold"
            )
    with dtype_policy(precision):
        networks = [open_network(Path(spec)) for spec in specs]

    orders = [class_order(network.classes, classes, spec) for network, spec in zip(networks, specs, strict=True)]

    def teacher(views: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros((len(views), len(classes)), np.float32)
        for network, order in zip(networks, orders, strict=True):
            size = network.model.input_shape[1:3]
            resized = views if views.shape[1:3] == size else keras.ops.image.resize(views, size)
            total += keras.ops.convert_to_numpy(network.model.predict_on_batch(resized))[:, order]
        return total / np.float32(len(networks))

    return teacher, [_name(Path(spec)) for spec in specs]


def _check_existence(specs: Sequence[str]) -> None:
    """ModelError for what is missing, before the first teacher runs for minutes."""
    for spec in specs:
        if spec not in MODEL_NAMES and not Path(spec).exists():
            raise ModelError(
                f"--teacher {spec}: no such file or folder; expected a run folder, a model, or a teacher_logits.npz"
            )


def _name(spec: Path) -> str:
    """A teacher's name: its run folder's, or its file's where that has one of its own."""
    return spec.parent.name if spec.stem == "float" else spec.name


def held_out_faces(spec: Path, count: int) -> NDArray[np.bool_]:
    """(count,) True for the faces that a run was not trained on; for all of them where it has no held-out fold."""
    fold, folds = _fold(spec)
    return in_fold(count, fold, folds) if folds else np.ones(count, bool)


def _fold(spec: Path) -> tuple[int, int]:
    """The held-out fold of a run folder or a file in it, and the number of folds, 0 for none."""
    run = spec if spec.is_dir() else spec.parent
    try:
        recipe = read_json(run / "recipe.json")
        return int(recipe.get("fold", 0)), int(recipe.get("folds", 0))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0, 0


def write_logits(path: Path, logits: NDArray[np.float32], names: Sequence[str], train: Split) -> None:
    """Write (N, C) logits in half precision with the teachers' names, the split's fingerprint and classes (.npz)."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        logits=logits.astype(np.float16),
        teachers=np.array(list(names)),
        data=np.array(fingerprint(train)),
        classes=np.array(train.classes),
    )
    write_bytes(path, content.getvalue())


def read_logits(path: Path, train: Split) -> tuple[NDArray[np.float32], list[str]] | None:
    """Read what write_logits wrote; None for another kind of .npz.

    Returns:
        (N, C) float32 logits, and the teachers' names.

    Raises:
        DataError: It holds no logits, or those of other faces.
        ModelError: It cannot be read.
    """
    expected = "a teacher_logits.npz or float.npz that training wrote"
    arrays = read_arrays(path, expected)
    if "teachers" not in arrays:
        return None
    if not {"logits", "data"} <= set(arrays) or arrays["logits"].dtype.kind != "f":
        raise DataError(f"{path} holds no teachers' logits; expected {expected}")
    if str(arrays["data"]) != fingerprint(train):
        raise DataError(f"{path} was made from another train split; make it again with --teacher and the models")
    logits = arrays["logits"].astype(np.float32)
    stored = tuple(map(str, arrays["classes"].ravel())) if "classes" in arrays else None
    classes = checked_classes(path, stored, logits.shape[-1] if logits.ndim else 0)
    if classes != train.classes:
        raise DataError(
            f"{path} holds logits for the classes {named(classes)}; the data has {named(train.classes)}; make it again"
        )
    if logits.shape != (len(train), len(train.classes)) or not np.isfinite(logits).all():
        raise DataError(f"{path} holds logits that are no numbers or not one row per face; make it again")
    return logits, arrays["teachers"].tolist()
