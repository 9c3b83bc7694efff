"""What run folders hold: recipe, epochs, best figures and state of each run, read without Keras; damage is reported."""

from __future__ import annotations

import csv
import fcntl
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.edge.errors import DataError, shortened
from fer_edge.edge.files.documents import parse_json, read_json, read_limited
from fer_edge.train.data.arrays import read_array
from fer_edge.train.recipes import Recipe

MARKS = ("recipe.json", "checkpoint.npz", "metrics.json")
"""Files that a run leaves, in the order in which it writes them; a folder with one of them is a run folder."""

OUTCOME = "trial.json"
"""What a trial of a sweep leaves beside them: `state` is one of ENDED_EARLY where it was not trained to its end."""

ENDED_EARLY = ("pruned", "diverged", "out of memory")

MAX_DEPTH = 4
"""Levels of folders that are searched for run folders: runs/, runs/2/, runs/2/mobilenet_v2/."""

_FIGURES = ("accuracy", "balanced_accuracy", "ece", "nll", "rows", "parameters")
_PHASES = ("warmup", "small", "top", "full")
_RECIPE_FIELDS = frozenset(each.name for each in fields(Recipe))


@dataclass(frozen=True)
class RunRecord:
    """What one run folder says of its run.

    Attributes:
        folder: The run folder.
        state: 'finished', 'running' (a training holds the folder's lock), 'interrupted', or 'no epoch finished'; of a
            sweep's trial that has ended early one of ENDED_EARLY.
        network: The network; None where nothing readable names it.
        recipe: All hyperparameters by field; empty where they cannot be read.
        sources: What was learned besides the labels: `teachers`, `ferplus`; `architecture` of a network of the user's.
        weights: Initial weights.
        classes: The classes in the order of the output; empty where no readable file names them.
        data: Pictures and sha256 of each split; empty for a run that is not finished.
        epochs: Epochs finished.
        planned: Epochs of the recipe; early stopping ends a run with fewer.
        best_accuracy: Highest validation accuracy of an epoch, 0..1, on the rows on which epochs are compared.
        best_loss: Lowest validation loss of an epoch.
        metrics: Of a finished run, figures of the saved network on the val split, as metrics.json has them.
        seconds: What the epochs took.
        date: Of the last file that the run wrote, ISO 8601.
        problems: What of the folder cannot be read, one line each.
    """

    folder: Path
    state: str
    network: str | None = None
    recipe: dict[str, Any] | None = None
    sources: dict[str, Any] | None = None
    weights: str | None = None
    classes: tuple[str, ...] = ()
    data: dict[str, Any] | None = None
    epochs: int = 0
    planned: int | None = None
    best_accuracy: float | None = None
    best_loss: float | None = None
    metrics: dict[str, Any] | None = None
    seconds: float | None = None
    date: str = ""
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def find_runs(runs: Path) -> list[RunRecord]:
    """Every run below a folder, by path.

    Args:
        runs: The folder; it may be a run folder itself. Links to folders are not followed.

    Raises:
        DataError: There is no such folder.
    """
    if not runs.is_dir():
        raise DataError(f"{runs}: no such folder; expected the one that 'fer-edge train --runs' writes to")
    return [read_run(folder) for folder in _run_folders(runs, MAX_DEPTH)]


def open_run(name: str, runs: Path) -> RunRecord:
    """The run that a name or path stands for.

    Args:
        name: The name of a run folder in `runs`, or a path.
        runs: The folder of the run folders.

    Raises:
        DataError: There is no such folder, or it is no run's.
    """
    folder = next((each for each in (runs / name, Path(name)) if each.is_dir()), None)
    if folder is None:
        raise DataError(f"{shortened(name)}: no run in {runs} and no folder; 'fer-edge runs list' shows the runs")
    if not _is_run(folder):
        raise DataError(f"{folder} is no run folder; expected {', '.join(MARKS)} in it, as 'fer-edge train' writes it")
    return read_run(folder)


def read_run(folder: Path) -> RunRecord:
    """What a run folder says of its run; what cannot be read is in the record's `problems`."""
    problems: list[str] = []
    stored = _object(folder / "recipe.json", problems)
    metrics = _object(folder / "metrics.json", problems)
    about = _checkpoint(folder / "checkpoint.npz", problems)
    history = _history(folder, about, problems)
    begun = about.get("recipe") or stored or metrics.get("recipe") or {}
    begun = begun if isinstance(begun, dict) else {}
    recipe = {key: value for key, value in begun.items() if key in _RECIPE_FIELDS}
    others = stored or (metrics.get("recipe") if isinstance(metrics.get("recipe"), dict) else {}) or {}
    planned = _planned(recipe)
    state = _state(folder, about, metrics, planned, bool(history), problems)
    if state in ("interrupted", "no epoch finished"):
        state = _ended_early(folder, problems) or state
    figures = metrics if state == "finished" else {}
    accuracies, losses = _numbers(history, "val_accuracy"), _numbers(history, "val_loss")
    return RunRecord(
        folder=folder,
        state=state,
        network=next((text for text in (about.get("name"), metrics.get("name")) if isinstance(text, str)), None),
        recipe=recipe,
        sources={key: value for key, value in others.items() if key not in _RECIPE_FIELDS},
        weights=next((text for text in (about.get("weights"), metrics.get("weights")) if isinstance(text, str)), None),
        classes=_classes(about, metrics),
        data=figures.get("data") if isinstance(figures.get("data"), dict) else {},
        epochs=len(history),
        planned=planned,
        best_accuracy=max(accuracies, default=None),
        best_loss=min(losses, default=None),
        metrics={
            key: figures[key]
            for key in ("accuracy", "balanced_accuracy", "ece", "nll", "rows", "parameters")
            if key in figures
        },
        seconds=round(sum(_numbers(history, "seconds")), 1) if history else None,
        date=_date(folder),
        problems=tuple(problems),
    )


def differences(records: list[RunRecord]) -> dict[str, list[Any]]:
    """The fields of recipes, what they start from and what they learn from, in which runs differ.

    Args:
        records: The runs.

    Returns:
        By field, the value of each run; None where a run has none.
    """
    rows = [
        {
            **(each.recipe or {}),
            "network": each.network,
            "weights": each.weights,
            **{key: _sha256(value) if key == "architecture" else value for key, value in (each.sources or {}).items()},
            "classes": list(each.classes) or None,
            **{f"data.{name}": _sha256(split) for name, split in (each.data or {}).items()},
        }
        for each in records
    ]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    values = {key: [row.get(key) for row in rows] for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each[1:])}


def _sha256(split: Any) -> Any:
    return split.get("sha256") if isinstance(split, dict) else None


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """The run folders at or below a folder; one that cannot be listed has none."""
    if _is_run(folder):
        yield folder
        return
    if depth == 0:
        return
    try:
        inner = sorted(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink())
    except OSError:
        return
    for each in inner:
        yield from _run_folders(each, depth - 1)


def _is_run(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in MARKS)


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    """A JSON object; empty where there is none, or where it is damaged, which becomes a problem."""
    try:
        value = read_json(path)
        if isinstance(value, dict):
            return value
        problems.append(f"{path.name} is no JSON object")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be read: {shortened(error, 120)}")
    return {}


def _checkpoint(path: Path, problems: list[str]) -> dict[str, Any]:
    """What a checkpoint says of its run, without its weights; empty where there is none, or it is damaged."""
    if not os.path.lexists(path):
        return {}
    try:
        about = parse_json(read_array(path, "about").astype(np.uint8).tobytes())
        if isinstance(about, dict) and isinstance(about.get("state", {}), dict):
            return about
        problems.append(f"{path.name} is no checkpoint of 'fer-edge train'")
    except ValueError as error:
        problems.append(f"{path.name} cannot be read: {shortened(error, 120)}")
    return {}


def _history(folder: Path, about: dict[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """A row per finished epoch, from the checkpoint or, where there is none, from history.csv."""
    rows = about.get("state", {}).get("history")
    if isinstance(rows, list):
        return [row for row in rows if isinstance(row, dict)]
    path = folder / "history.csv"
    try:
        return list(csv.DictReader(read_limited(path, 16 << 20).decode().splitlines()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, csv.Error) as error:
        problems.append(f"{path.name} cannot be read: {shortened(error, 120)}")
    return []


def _numbers(history: list[dict[str, Any]], key: str) -> list[float]:
    """The numbers of one column."""
    numbers = []
    for row in history:
        try:
            numbers.append(float(row[key]))
        except (KeyError, TypeError, ValueError):
            continue
    return [number for number in numbers if math.isfinite(number)]


def _planned(recipe: dict[str, Any]) -> int | None:
    """Epochs of all phases; None where the recipe does not hold them."""
    epochs = [recipe.get(f"{name}_epochs") for name in _PHASES]
    return sum(each for each in epochs if isinstance(each, int)) if any(epochs) else None


def _state(
    folder: Path, about: dict[str, Any], metrics: dict[str, Any], planned: int | None, begun: bool, problems: list[str]
) -> str:
    """Whether the run is finished, running or interrupted."""
    if _is_locked(folder):
        return "running"
    epoch = about.get("state", {}).get("epoch")
    if isinstance(epoch, int) and planned is not None and epoch < planned:
        if metrics:
            problems.append("metrics.json is of an earlier run in this folder")
        return "interrupted" if epoch or begun else "no epoch finished"
    if metrics:
        return "finished"
    return "interrupted" if about or begun else "no epoch finished"


def _ended_early(folder: Path, problems: list[str]) -> str | None:
    """How a sweep's trial has ended early; None for one that has not, and for other runs."""
    outcome = _object(folder / OUTCOME, problems).get("state")
    return outcome if isinstance(outcome, str) and outcome in ENDED_EARLY else None


def _is_locked(folder: Path) -> bool:
    """Whether a training holds the folder's lock; False where that cannot be known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _classes(about: dict[str, Any], metrics: dict[str, Any]) -> tuple[str, ...]:
    """The classes that checkpoint or metrics name."""
    per_class = metrics.get("per_class")
    for names in (about.get("classes"), metrics.get("classes"), list(per_class) if isinstance(per_class, dict) else []):
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return ()


def _date(folder: Path) -> str:
    """The day of the last file that a run wrote."""
    times = [path.stat().st_mtime for name in MARKS if (path := folder / name).is_file()]
    return time.strftime("%Y-%m-%d", time.localtime(max(times))) if times else ""
