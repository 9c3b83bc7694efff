"""The search: draw a recipe, train it, end it early or keep it, until the sweep has its trials."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from fer_edge.edge.errors import DataError, SinkError, TrainingError, shortened
from fer_edge.edge.files.documents import write_json
from fer_edge.edge.sinks.locks import FolderLock
from fer_edge.train.backend import forget_networks, keras
from fer_edge.train.recipes import Recipe
from fer_edge.train.run_records import OUTCOME
from fer_edge.train.sweep.definition import Choices, Range, Sweep
from fer_edge.train.sweep.study import MAX_RETRIES, retry
from fer_edge.train.training_run import TrainingRun

FOLDER, REASON, NETWORK = "folder", "reason", "figures"
"""Attributes of a trial: its run folder's name, why it has ended early, the saved network's figures."""

POLL = 2.0
"""Seconds between two looks at the trials of other processes."""

_MEMORY = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
"""How backends name a lack of memory: by the class of the error, or in its text."""

_logger = logging.getLogger(__name__)

Train = Callable[[TrainingRun, bool, list[Any]], dict[str, float]]
"""Trains a run, or resumes it, with these callbacks; returns `val_loss` and `val_accuracy` of the saved network."""


@dataclass
class Search:
    """One process's part of a sweep.

    Attributes:
        sweep: The sweep.
        study: Its study.
        base: What all trials have in common; its folder is the sweep's.
        make: Makes a trial's recipe of the values of the varied fields; DataError where they contradict each other.
        train: Trains a run.
        after_trial: Called after each trial.
    """

    sweep: Sweep
    study: Study
    base: TrainingRun
    make: Callable[..., Recipe]
    train: Train
    after_trial: Callable[[], None]
    _number: int = field(default=-1, init=False)
    _errors: list[BaseException] = field(default_factory=list, init=False)

    def run(self) -> None:
        """Train trials until the sweep has all of them.

        At the end, other processes may still train the last ones. They are waited for as long as it takes to know that
        they are alive; where one is not, its trial is trained here.
        """
        logging.getLogger("tensorflow").setLevel(
            logging.ERROR
        )  # it warns of functions traced again: each trial has own
        deadline = math.inf
        while True:
            fail_stale_trials(self.study)
            running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if ended(self.study) + len(running) < self.sweep.trials:
                self._run_trial()
                self.after_trial()
                deadline = math.inf
                continue
            if not running or time.monotonic() > deadline:
                return
            if deadline == math.inf:
                deadline = time.monotonic() + self.sweep.heartbeat + POLL
                names = ", ".join(folder_of(each) for each in running)
                _logger.info(f"other processes train {names}: waiting for {self.sweep.heartbeat} s at most")
            time.sleep(POLL)

    def _run_trial(self) -> None:
        """Train one trial; one that another process has taken over, as this one gave no sign of life, is left to it."""
        self._errors.clear()
        try:
            self.study.optimize(self._objective, n_trials=1, gc_after_trial=True)
        except (UpdateFinishedTrialError, ValueError):
            taken = self.study.get_trials(deepcopy=False)[self._number].state.is_finished()
            own = self._errors and not isinstance(self._errors[-1], UpdateFinishedTrialError)
            if own or not taken:
                raise
            _logger.warning(
                f"trial-{self._number:04d} was taken over by another process, as this one gave no sign of life for "
                f"{self.sweep.heartbeat} s"
            )

    def _objective(self, trial: Trial) -> float:
        """Train a trial. Raises TrialPruned where it ends early."""
        self._number = trial.number
        values = _draw(trial, self.sweep.fields)
        folder, resume = self._folder(trial)
        trial.set_user_attr(FOLDER, folder.name)
        _logger.info(f"{folder.name}: {listed(values)}" + (", resumed" if resume else ""))
        try:
            recipe = self.make(**values)
        except DataError as error:
            raise self._ended(trial, "contradictory", str(error)) from None
        run = replace(self.base, recipe=recipe, folder=folder)
        self._write_outcome(trial, folder, None)
        watch = _Watch(trial, self.sweep.objective)
        forget_networks()  # else those of all trials stay in memory
        try:
            figures = self.train(run, resume, [watch])
        except TrialPruned:
            raise self._ended(trial, "pruned", f"after epoch {watch.epoch}") from None
        except TrainingError as error:
            trial.report(math.nan, watch.epoch)
            raise self._ended(trial, "diverged", str(error)) from None
        except (KeyboardInterrupt, SystemExit) as error:
            self._break_off(trial, error, None)
            raise
        except Exception as error:
            if type(error).__name__ in _MEMORY or _OUT_OF_MEMORY in str(error):
                raise self._ended(trial, "out of memory", shortened(error, 200)) from None
            self._break_off(trial, error, None if isinstance(error, SinkError | OSError) else MAX_RETRIES)
            raise
        trial.set_user_attr(NETWORK, figures)
        self._write_outcome(trial, folder, "finished", figures)
        value = figures[self.sweep.objective]
        _logger.info(f"{folder.name}: {self.sweep.objective} {value:.4f}")
        return value

    def _folder(self, trial: Trial) -> tuple[Path, bool]:
        """The run folder of a trial, and whether it holds the beginning of the trial that is trained again."""
        own, before = self.base.folder / f"trial-{trial.number:04d}", trial.user_attrs.get(FOLDER)
        if before is None or not (self.base.folder / before).is_dir():
            return (own if before is None else self.base.folder / before), False
        try:
            FolderLock(self.base.folder / before).close()
        except SinkError:  # its process lives, only its heartbeats have stopped
            return own, False
        return self.base.folder / before, True

    def _ended(self, trial: Trial, reason: str, detail: str) -> TrialPruned:
        """Note why a trial ends early; returns what Optuna is to be told."""
        trial.set_user_attr(REASON, reason)
        folder = self.base.folder / trial.user_attrs[FOLDER]
        if reason != "contradictory":
            self._write_outcome(trial, folder, reason)
        _logger.info(f"{folder.name}: {reason}, {detail}")
        return TrialPruned(detail)

    def _break_off(self, trial: Trial, error: BaseException, limit: int | None) -> None:
        """Have a trial that this process cannot finish trained again."""
        self._errors.append(error)
        if isinstance(error, UpdateFinishedTrialError):
            return
        _logger.info(f"{trial.user_attrs[FOLDER]} is broken off; the same command goes on with it")
        retry(self.study, self.study.get_trials(deepcopy=False)[trial.number], limit)
        if isinstance(error, SystemExit):  # which Optuna does not note
            self.study.tell(trial, state=TrialState.FAIL)

    def _write_outcome(
        self, trial: Trial, folder: Path, state: str | None, figures: dict[str, float] | None = None
    ) -> None:
        """Write what the run folder is a trial of, and how it has ended."""
        about = {"sweep": self.sweep.name, "trial": trial.number, "state": state, "fields": trial.params}
        write_json(folder / OUTCOME, about | (figures or {}))


class _Watch(keras.callbacks.Callback):
    """Reports a trial's epochs, and ends it where the pruner says so; not after its last epoch."""

    def __init__(self, trial: Trial, objective: str) -> None:
        super().__init__()
        self.trial, self.objective, self.epoch = trial, objective, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report one epoch.

        Args:
            epoch: Its number, from 0.
            logs: `val_loss` and `val_accuracy`, among others.
        """
        self.epoch = epoch + 1
        self.trial.report((logs or {})[self.objective], epoch)
        if self.epoch < self.params["epochs"] and self.trial.should_prune():
            raise TrialPruned


def ended(study: Study) -> int:
    """How many trials have come to an end of their own, early or not; what was broken off is trained again."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def folder_of(trial: FrozenTrial) -> str:
    """The name of a trial's run folder."""
    return str(trial.user_attrs.get(FOLDER, f"trial-{trial.number:04d}"))


def listed(values: dict[str, Any]) -> str:
    """Fields and their values as a line of text."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _draw(trial: Trial, fields: dict[str, Range | Choices]) -> dict[str, Any]:
    """A value of each varied field."""
    values: dict[str, Any] = {}
    for name, each in fields.items():
        if isinstance(each, Choices):
            values[name] = trial.suggest_categorical(name, each.values)
        elif isinstance(each.low, int) and isinstance(each.high, int):
            values[name] = trial.suggest_int(name, each.low, each.high, step=int(each.step or 1), log=each.log)
        else:
            values[name] = trial.suggest_float(name, each.low, each.high, step=each.step, log=each.log)
    return values
