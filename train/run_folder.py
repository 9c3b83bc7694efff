"""The run folder: whether a run may start or resume in it, what it starts from, and what a finished run leaves."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.edge.errors import DataError, SinkError
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.edge.files.writing import atomic_path, make_folder
from fer_edge.edge.sinks.locks import FolderLock
from fer_edge.edge.tflite.card import UNKNOWN
from fer_edge.train.backend import keras
from fer_edge.train.checkpoint import CHECKPOINT, TrainingState
from fer_edge.train.data.clean_rows import rows_in_train
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.distributed.group import ALONE, ProcessGroup
from fer_edge.train.evaluation import report
from fer_edge.train.evaluation.metrics import Metrics, measure
from fer_edge.train.evaluation.row_sets import row_figures, to_dicts
from fer_edge.train.networks import predict_logits
from fer_edge.train.origin import fingerprints, known_name, weights_data
from fer_edge.train.own_architectures import own_architecture
from fer_edge.train.stored_classes import write_classes
from fer_edge.train.teachers import LOGITS_FILE, read_logits, write_logits
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import SoftTargets
from fer_edge.train.weights import check_weights, read_half, save_half

LOGITS_TOLERANCE = 0.1
"""Mean difference of teachers' logits up to which they are the same; another machine's arithmetic moves a logit by
hundredths."""


def check_run(run: TrainingRun, resume: bool) -> None:
    """DataError or ModelError where the run can neither start nor resume."""
    if run.recipe.initial_share:
        _check_initial_share(run)
    if not (run.folder / CHECKPOINT).exists():
        check_weights(run.network, run.weights)
    elif not resume:
        raise DataError(f"{run.folder} holds a run already; continue it with --resume, or choose another --runs folder")


def _check_initial_share(run: TrainingRun) -> None:
    """DataError or ModelError where the initial weights are none that the trained ones could be averaged with."""
    stored = None
    if run.weights.endswith(".npz"):
        check_weights(run.network, run.weights)
        stored = read_half(Path(run.weights)).architecture
    if stored != run.network:  # a pruned network may start from a larger one's
        raise DataError(
            f"--weights {run.weights}: initial_share {run.recipe.initial_share} of the recipe needs trained weights of "
            f"{run.network}; expected a .npz that its training wrote, or --initial-share 0"
        )


def lock_run(run: TrainingRun) -> FolderLock:
    """Create the run's folder and keep other trainings out of it until the lock is closed; SinkError where one is."""
    try:
        make_folder(run.folder)
    except OSError as error:
        raise SinkError(f"{run.folder} cannot be created: {error.strerror}") from None
    return FolderLock(run.folder, "wait for it, or choose another --runs folder")


def prepare_folder(run: TrainingRun, soft_targets: SoftTargets, train: Split, resume: bool) -> None:
    """Write what the run starts from; for a run that resumes, DataError where its soft targets are others."""
    if resume and (run.folder / CHECKPOINT).exists():
        _check_soft_targets(run.folder, soft_targets, train)
        return
    own = own_architecture(run.network)
    if own:
        own.keep(run.folder)
    write_json(run.folder / "recipe.json", {**asdict(run.recipe), **soft_targets.sources, **_own_record(run)})
    if isinstance(soft_targets.teacher, np.ndarray):
        write_logits(run.folder / LOGITS_FILE, soft_targets.teacher, soft_targets.teacher_names, train)


def _own_record(run: TrainingRun) -> dict[str, Any]:
    """The entry `architecture` of a network of the user's own; nothing for the package's."""
    own = own_architecture(run.network)
    return {"architecture": own.record} if own else {}


def _check_soft_targets(folder: Path, soft_targets: SoftTargets, train: Split) -> None:
    """DataError where the run that is resumed learned from other teachers or votes."""
    hint = "resume with the same, or start again with another --runs folder"
    try:
        before = read_json(folder / "recipe.json")
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'recipe.json'} cannot be read: {error}; {hint}") from None
    if not isinstance(before, dict):
        raise DataError(f"{folder / 'recipe.json'} is no recipe; {hint}")
    for key, option in (("teachers", "--teacher"), ("ferplus", "--ferplus")):
        now = soft_targets.sources.get(key)
        if before.get(key) != now:
            raise DataError(f"the run in {folder} began with {option} {before.get(key)}, this is {now}; {hint}")
    if isinstance(soft_targets.teacher, np.ndarray) and (folder / LOGITS_FILE).exists():
        stored = read_logits(folder / LOGITS_FILE, train)
        if stored and np.abs(stored[0] - soft_targets.teacher).mean() > LOGITS_TOLERANCE:
            raise DataError(f"the run in {folder} began with other logits of {', '.join(stored[1])}; {hint}")


def write_run(
    run: TrainingRun,
    model: Any,
    state: TrainingState,
    soft_targets: SoftTargets,
    dataset: Dataset,
    group: ProcessGroup = ALONE,
) -> Metrics:
    """Write models, metrics, history and plots, each completely or not at all.

    Returns:
        The metrics on the val split.
    """
    for target in (run.folder / "float.keras", run.folder / "float.h5"):
        save_model(model, target, dataset.classes)
    save_half(model, run.folder / "float.npz", dataset.classes)
    val, history = dataset.split("val"), state.history
    probabilities, sha256s = softmax(predict_logits(model, val.faces)), fingerprints(dataset.splits)
    metrics = measure(probabilities, val.labels, val.classes)
    write_json(
        run.folder / "metrics.json",
        {
            "name": run.network,
            "parameters": int(model.count_params()),
            "classes": list(dataset.classes),
            "split": "val",
            **metrics.to_dict(),
            "rows": to_dicts(row_figures(probabilities, val.labels, val.classes, rows_in_train(dataset, "val"))),
            "training_accuracy_last_epoch": history[-1]["accuracy"] if history else None,
            **_own_record(run),
            "recipe": {**asdict(run.recipe), **soft_targets.sources},
            "weights": Path(run.weights).name,
            "data": {name: {"pictures": len(split), "sha256": sha256s[name]} for name, split in dataset.splits.items()},
            "data_name": run.origin.data_name or known_name(sha256s) or UNKNOWN,
            **({"weights_data": data} if (data := weights_data(run.weights)) else {}),
            **({"licence": run.origin.license} if run.origin.license else {}),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            **({"devices": int(group.mesh.size), "processes": group.processes} if group.mesh else {}),
            "seconds": round(sum(float(row["seconds"]) for row in history), 1),
            "date": time.strftime("%Y-%m-%d"),
        },
    )
    report.write_history(run.folder / "history.csv", history)
    report.plot_history(run.folder / "training_curves.png", history, run.network)
    report.plot_confusion(run.folder / "confusion_matrix.png", metrics, f"{run.network}, validation split")
    return metrics


def save_model(model: Any, target: Path, classes: tuple[str, ...]) -> None:
    """Write the model in its suffix's format with the names of its classes, completely or not at all; SinkError."""
    with atomic_path(target) as temporary:
        try:
            model.save(temporary)
            write_classes(temporary, classes)
        except RuntimeError as error:  # h5py's for a full disk
            raise OSError(str(error).splitlines()[0][:160]) from None
