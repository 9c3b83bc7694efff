"""A run's checkpoint: one file with weights, optimizer and history, from which an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.files.documents import parse_json
from fer_edge.edge.files.writing import atomic_path
from fer_edge.train.backend import keras
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.class_order import named
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.own_architectures import own_architecture
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.weights import check_finite

CHECKPOINT = "checkpoint.npz"

GROUPS = ("weights", "best", "optimizer")


@dataclass
class TrainingState:
    """How far a run has come.

    Attributes:
        epoch: Epochs finished, over all phases.
        step: Optimizer steps after the warm-up, which the schedule counts.
        rate_scale: Factor of the learning rate, which ReduceLROnPlateau lowers.
        epochs_without_gain: Epochs since the validation loss last fell.
        best_loss: Lowest validation loss of the phase.
        best_score: The selected epoch's validation accuracy, or its negative loss.
        history: One row for each epoch.
    """

    epoch: int = 0
    step: int = 0
    rate_scale: float = 1.0
    epochs_without_gain: int = 0
    best_loss: float = float("inf")
    best_score: float = float("-inf")
    history: list[dict[str, float | str]] = field(default_factory=list)


@dataclass(frozen=True)
class RunIdentity:
    """What a run starts from; a checkpoint fits only a run that starts from the same.

    Attributes:
        name: The network.
        classes: Names of the C classes, in the order of its outputs.
        recipe: All hyperparameters.
        weights: Initial weights.
        train: Fingerprint of the train split.
        val: Fingerprint of the rows of the val split on which epochs are compared.
        votes: sha256 of FER+'s votes, None without them.
        architecture: sha256 of an architecture of the user's own, None for the package's.
    """

    name: str
    classes: tuple[str, ...]
    recipe: Recipe
    weights: str
    train: str
    val: str
    votes: str | None
    architecture: str | None = None


def run_identity(run: TrainingRun, train: Split, val: Split, votes: NDArray[np.float32] | None) -> RunIdentity:
    """The identity of a run.

    Args:
        run: Network, recipe and initial weights.
        train: The train split.
        val: The rows of the val split on which epochs are compared.
        votes: (N, C) shares of FER+'s votes, or None.
    """
    digest = None if votes is None else hashlib.sha256(votes.tobytes()).hexdigest()
    own = own_architecture(run.network)
    return RunIdentity(
        name=run.network,
        classes=train.classes,
        recipe=run.recipe,
        weights=run.weights,
        train=fingerprint(train),
        val=fingerprint(val),
        votes=digest,
        architecture=own.sha256 if own else None,
    )


def write_checkpoint(
    path: Path, identity: RunIdentity, state: TrainingState, model: Any, optimizer: Any, best: list[Any] | None
) -> None:
    """Write one file, under another name first: a run killed at any moment leaves the last complete checkpoint."""
    groups = {
        "weights": model.get_weights(),
        "best": best or [],
        "optimizer": [keras.ops.convert_to_numpy(v) for v in optimizer.variables],
    }
    arrays: dict[str, Any] = {
        f"{group}/{i:05d}": np.asarray(value) for group, values in groups.items() for i, value in enumerate(values)
    }
    # an infinite loss or score is its field's default, and nothing that JSON has
    known = {key: value for key, value in asdict(state).items() if not isinstance(value, float) or math.isfinite(value)}
    about = json.dumps({**asdict(identity), "state": known}, allow_nan=False)
    with atomic_path(path) as temporary:
        np.savez(temporary, about=np.frombuffer(about.encode(), np.uint8), **arrays)


def read_checkpoint(path: Path, identity: RunIdentity) -> tuple[TrainingState, dict[str, list[Any]], list[Any] | None]:
    """Read a checkpoint of the same run.

    Returns:
        The state, the arrays by group, and the best weights or None.

    Raises:
        DataError: It is none, or of a run that started from something else.
        ModelError: It is missing or damaged.
    """
    hint = "start again without --resume and with another --runs folder"
    arrays = read_arrays(path, f"a run's checkpoint; {hint}")
    expected = asdict(identity) | {"classes": list(identity.classes)}  # as JSON has them
    try:
        about = parse_json(arrays.pop("about").tobytes())
        state = TrainingState(**about["state"])
        if not isinstance(state.epoch, int) or {type(row) for row in state.history} - {dict}:
            raise ValueError("its state is damaged")
        fields = [key for key, value in expected["recipe"].items() if about["recipe"].get(key) != value]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise DataError(f"{path} is no run's checkpoint; {hint}") from None
    others = [key for key in expected if key != "recipe" and about.get(key) != expected[key]]
    if fields or others:
        differences = {
            "name": f"of {about.get('name')}",
            "classes": f"for the classes {named(map(str, about.get('classes') or ['unknown']))}",
            "weights": f"from --weights {about.get('weights')}",
            "train": "on another train split",
            "val": "with other rows of the val split",
            "votes": "with other FER+ votes",
            "architecture": "of another architecture of that name",
        }
        difference = differences[others[0]] if others else f"with another {', '.join(fields)}"
        raise DataError(f"{path} is a run {difference}; resume with the same, or {hint}")
    check_finite(arrays.values(), path)
    groups = {group: [arrays[key] for key in sorted(arrays) if key.startswith(f"{group}/")] for group in GROUPS}
    return state, groups, groups["best"] or None
