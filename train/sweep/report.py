"""What a sweep has found: the best trial, its recipe as a file, and the command that trains it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer_edge.edge.config.click_options import flag, info_of
from fer_edge.edge.errors import TrainingError, printable
from fer_edge.train.recipe_files import MAX_NAME, write_recipe
from fer_edge.train.recipes import Recipe
from fer_edge.train.sweep.search import NETWORK, REASON, folder_of

BEST = "best.toml"
"""The best trial's recipe, in the sweep's folder."""


def best_trial(study: Study) -> FrozenTrial | None:
    """The finished trial with the best objective; None where none is finished."""
    return study.best_trial if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) else None


def write_best(study: Study, folder: Path, recipe: Recipe, base: str, network: str) -> Path:
    """Write the best trial's recipe into the sweep's folder; SinkError where it cannot be written.

    Args:
        study: The study, with a finished trial.
        folder: The sweep's folder.
        recipe: The best trial's recipe.
        base: The named recipe that the file starts from.
        network: The network, as `make_recipe` takes it.

    Returns:
        The file.
    """
    name = f"{study.study_name[: MAX_NAME - 16]} {folder_of(study.best_trial)}"
    write_recipe(folder / BEST, replace(recipe, name=name), base, network)
    return folder / BEST


def summary(study: Study, objective: str) -> list[str]:
    """Lines on a sweep's trials and its best one.

    Args:
        study: The study.
        objective: 'val_loss' or 'val_accuracy'.

    Raises:
        TrainingError: No trial is finished.
    """
    trials = study.get_trials(deepcopy=False)
    counts = Counter(_outcome(each) for each in trials)
    of = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if outcome)
    best = best_trial(study)
    if best is None:
        raise TrainingError(
            f"sweep {study.study_name}: no trial is finished ({of or 'none has begun'}); see their lines above, and "
            "choose other ranges, or a pruner with a longer warmup"
        )
    figures = ", ".join(f"{key} {value:.4f}" for key, value in best.user_attrs.get(NETWORK, {}).items())
    lines = [f"sweep {study.study_name}: {of}", f"best {objective}: {folder_of(best)} ({figures})"]
    width = max(map(len, best.params))
    return lines + [f"  {name.ljust(width)}  {_number(value)}" for name, value in best.params.items()]


def command(words: Iterable[str]) -> str:
    """A command line that can be pasted into a shell."""
    return printable(shlex.join(words))


def option_words(options: Any, without: Sequence[str] = ()) -> list[str]:
    """The fields of an options dataclass that are not at their defaults, as words of a command line."""
    words: list[str] = []
    for each in fields(options):
        value = getattr(options, each.name)
        if each.name in without or not info_of(each).cli or value is None or value == each.default:
            continue
        if value is True:
            words.append(flag(each.name))
        else:
            words += [
                word
                for one in (value if isinstance(value, tuple) else (value,))
                for word in (flag(each.name), f"{one}")
            ]
    return words


def _outcome(trial: FrozenTrial) -> str:
    """How a trial has ended, in a word; empty for one that was broken off, as it is there again."""
    if trial.state == TrialState.PRUNED:
        return str(trial.user_attrs.get(REASON, "pruned"))
    return {TrialState.COMPLETE: "finished", TrialState.RUNNING: "running"}.get(trial.state, "")


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
