"""A run's checkpoint: one file with weights, optimizer and history, from which a killed run goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.files import atomic_path
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import Dataset, fingerprint
from fer_edge.train.recipes import Recipe

CHECKPOINT = "checkpoint.npz"


@dataclass
class State:
    """Where a run stands: what a checkpoint holds besides arrays."""

    epoch: int = 0  # epochs finished, over all phases
    step: int = 0  # optimizer steps of phase 2, which the schedule counts
    scale: float = 1.0  # what ReduceLROnPlateau made of the rate
    since_best: int = 0  # epochs since the validation loss last fell
    best_loss: float = float("inf")  # of the phase
    kept: float = float("-inf")  # the kept weights' accuracy, or their loss's negative
    history: list[dict[str, float | str]] = field(default_factory=list)


def beginning(
    name: str, recipe: Recipe, weights: str, data: Dataset, votes: NDArray[np.float32] | None
) -> dict[str, Any]:
    """What a run begins with, by which its checkpoint is known again."""
    return {
        "name": name,
        "recipe": asdict(recipe),
        "weights": weights,
        **{split: fingerprint(data.split(split)) for split in ("train", "val")},
        "votes": None if votes is None else hashlib.sha256(votes.tobytes()).hexdigest(),
    }


def write_checkpoint(
    path: Path, begun: dict[str, Any], state: State, model: Any, optimizer: Any, best: list[Any] | None
) -> None:
    """One file, written beside and renamed: a run killed at any moment leaves the last whole one."""
    groups = {
        "weights": model.get_weights(),
        "best": best or [],
        "optimizer": [keras.ops.convert_to_numpy(v) for v in optimizer.variables],
    }
    arrays: dict[str, Any] = {
        f"{group}/{i:05d}": np.asarray(value) for group, values in groups.items() for i, value in enumerate(values)
    }
    about = json.dumps({**begun, "state": asdict(state)})
    with atomic_path(path) as beside:
        np.savez(beside, about=np.frombuffer(about.encode(), np.uint8), **arrays)


def read_checkpoint(path: Path, begun: dict[str, Any]) -> tuple[State, dict[str, list[Any]], list[Any] | None]:
    """The state, the arrays by group and the best weights; DataError or ModelError where it is damaged or of a run
    that began otherwise."""
    hint = "start again without --resume and with another --runs folder"
    arrays = read_arrays(path, f"a run's checkpoint; {hint}")
    try:
        about = json.loads(arrays.pop("about").tobytes())
        state = State(**about["state"])
        changed = [key for key, value in begun["recipe"].items() if about["recipe"].get(key) != value]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise DataError(f"{path} is no run's checkpoint; {hint}") from None
    others = [key for key in begun if key != "recipe" and about.get(key) != begun[key]]
    if changed or others:
        what = {
            "name": f"of {about.get('name')}",
            "weights": f"from --weights {about.get('weights')}",
            "train": "on another train split",
            "val": "with another val split",
            "votes": "with other FER+ votes",
        }
        wrong = what[others[0]] if others else f"with another {', '.join(changed)}"
        raise DataError(f"{path} is a run {wrong}; resume with the same, or {hint}")
    groups = {
        group: [arrays[key] for key in sorted(arrays) if key.startswith(f"{group}/")]
        for group in ("weights", "best", "optimizer")
    }
    return state, groups, groups["best"] or None
