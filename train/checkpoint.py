"""A run's checkpoint: one file with weights, optimizer and history, from which a killed run goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge.edge.errors import DataError
from fer_edge.edge.files import whole
from fer_edge.train.recipes import Recipe


@dataclass
class State:
    """Where a run stands: what a checkpoint holds besides arrays."""

    epoch: int = 0  # epochs finished, over all phases
    step: int = 0  # optimizer steps of phase 2, which the schedule counts
    scale: float = 1.0  # what ReduceLROnPlateau made of the rate
    since_best: int = 0  # epochs since the validation loss last fell
    best_loss: float = float("inf")
    best_accuracy: float = -1.0
    history: list[dict[str, float | str]] = field(default_factory=list)


def write_checkpoint(
    path: Path, name: str, recipe: Recipe, state: State, model: Any, optimizer: Any, best: list[Any] | None
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
    about = json.dumps({"name": name, "recipe": asdict(recipe), "state": asdict(state)})
    with whole(path) as beside:
        np.savez(beside, about=np.frombuffer(about.encode(), np.uint8), **arrays)


def read_checkpoint(path: Path, name: str, recipe: Recipe) -> tuple[State, dict[str, list[Any]], list[Any] | None]:
    """The state, the arrays by group and the best weights; DataError where it is damaged or another run's."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            keys = sorted(stored.files)
            groups = {
                group: [stored[key] for key in keys if key.startswith(f"{group}/")]
                for group in ("weights", "best", "optimizer")
            }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint: {error}; start again without --resume") from None
    changed = [key for key, value in asdict(recipe).items() if about["recipe"].get(key) != value]
    if about["name"] != name or changed:
        what = f"of {about['name']}" if about["name"] != name else f"with another {', '.join(changed)}"
        raise DataError(f"{path} is a run {what}; resume with the same recipe, or start again without --resume")
    return State(**about["state"]), groups, groups["best"] or None
