"""The Optuna study of a sweep: where its trials are stored, how values are drawn, and when trials are ended early."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy.exc
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fer_edge.edge.errors import DataError, SinkError, printable, redact, redact_text, shortened
from fer_edge.edge.files.writing import make_folder
from fer_edge.train.run_records import MARKS
from fer_edge.train.sweep.definition import PrunerSettings, Sweep

FILE = "study.db"
"""The storage in the sweep's folder, where the sweep names no other one."""

RECORD = "fer-edge"
"""The study's attribute that holds what it searches."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that writes to the same SQLite file."""

MAX_RETRIES = 3
"""Times that a trial whose process was killed, or that has failed, is trained again: it may be the reason."""

BUSY = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
"""What a database says that two processes set up at the same moment."""

_logger = logging.getLogger(__name__)


def open_study(sweep: Sweep, folder: Path, record: dict[str, Any], epochs: int) -> Study:
    """Open the study that all processes of a sweep share, or begin it.

    Args:
        sweep: The sweep.
        folder: Its folder, which is created.
        record: What all trials have in common, as plain values.
        epochs: The most epochs that a trial may have.

    Raises:
        ConfigError: The storage is no database that can be opened.
        DataError: The folder holds something else, or the study is of another sweep.
        SinkError: Folder or storage cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # it logs every trial too, a failed one with its traceback
    warnings.filterwarnings("ignore", category=ExperimentalWarning)  # of heartbeats and what belongs to them
    try:
        make_folder(folder)
    except OSError as error:
        raise SinkError(f"{folder} cannot be created: {error.strerror}") from None
    if any((folder / name).exists() for name in MARKS):
        raise DataError(f"{folder} is the folder of a run; rename the sweep's file, whose name is that of its folder")
    place = sweep.storage or str(folder / FILE)
    with _one_at_a_time(folder), storage_errors(place):
        study = optuna.create_study(
            storage=_storage(place, sweep.heartbeat),
            sampler=_SeededSampler(sweep.seed),
            pruner=_pruner(sweep.pruner, epochs),
            study_name=sweep.name,
            direction="minimize" if sweep.objective == "val_loss" else "maximize",
            load_if_exists=True,
        )
        _check_record(study, folder, place, record)
    return study


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turn what the storage's database cannot do into a SinkError of one line."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise SinkError(
            f"the sweep's storage {redact(place)}: {_reason(error)}; afterwards the same command goes on"
        ) from None


def retry(study: Study, trial: FrozenTrial, limit: int | None = MAX_RETRIES) -> None:
    """Have a trial that was broken off trained again, from its checkpoint where that is at hand.

    Args:
        study: The study.
        trial: The trial.
        limit: How often at most; None for always.
    """
    RetryHeartbeatStaleTrialCallback(max_retry=limit, inherit_intermediate_values=True)(study, trial)


def _reason(error: BaseException) -> str:
    """What the database says, without SQL."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    original = getattr(cause, "orig", None) or cause
    return shortened(redact_text(str(original).strip().partition("\n")[0]), 200)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine out: two cannot make the tables of one SQLite file."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SinkError(f"{folder} cannot be opened: {error.strerror}") from None
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _Storage(RDBStorage):
    """Optuna's database, where a heartbeat that cannot be written costs a warning."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Write that a trial's process lives; its thread would print a traceback and end."""
        try:
            super().record_heartbeat(trial_id)
        except StorageInternalError as error:
            _logger.warning("no heartbeat could be written to the sweep's storage: %s", _reason(error))


def _storage(place: str, heartbeat: int) -> RDBStorage:
    """The database of a URL, or of a SQLite file, which is made."""
    url = place
    options: dict[str, Any] = {}
    if "://" not in place:  # its name may hold what means something in a URL
        url = "sqlite:///sweep"
        connect = partial(sqlite3.connect, place, timeout=LOCK_TIMEOUT, check_same_thread=False)
        options = {"creator": connect}
    elif place.startswith("sqlite"):
        options = {"connect_args": {"timeout": LOCK_TIMEOUT}}
    for attempt in range(3):
        try:
            return _Storage(
                url,
                options,
                heartbeat_interval=max(1, heartbeat // 4),
                grace_period=heartbeat,
                heartbeat_stale_trial_callback=retry,
            )
        except BUSY:
            if attempt == 2:
                raise
            time.sleep(1 + attempt)
        except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
            raise DataError(
                f"storage = {redact(place)}: its driver is not installed ({shortened(error)}); install the one that "
                "SQLAlchemy names, such as psycopg2-binary for postgresql://"
            ) from None
        except (sqlalchemy.exc.ArgumentError, KeyError, ValueError, IndexError):
            raise DataError(
                f"storage = {redact(place)} is no URL of a database; expected a SQLite file, or a URL such as "
                "postgresql://HOST/NAME"
            ) from None
        except RuntimeError as error:  # of tables that another version of Optuna made
            raise DataError(f"storage = {redact(place)}: {shortened(error, 300)}") from None
    raise AssertionError


def _check_record(study: Study, folder: Path, place: str, record: dict[str, Any]) -> None:
    """Store what the study searches; DataError where it has begun with something else, or its folder has."""
    stored = study.user_attrs.get(RECORD)
    if stored is None:
        if any(folder.glob("trial-*")):
            raise DataError(
                f"{printable(folder)} has trials of another study than {redact(place)}; name their storage, choose "
                "another --runs folder, or remove them"
            )
        study.set_user_attr(RECORD, record)
        return
    different = [key for key in record if stored.get(key) != record[key]]
    if different:
        raise DataError(
            f"the sweep '{study.study_name}' in {redact(place)} began with another {' and '.join(different)}; give the "
            "same, choose another --runs folder, or rename the sweep's file"
        )


def _pruner(settings: PrunerSettings, epochs: int) -> BasePruner:
    """Optuna's pruner; steps count from 0, so that none before `warmup` is one of its epochs."""
    if settings.kind == "none":
        return NopPruner()
    if settings.kind == "hyperband":
        return HyperbandPruner(min_resource=min(settings.warmup, epochs), max_resource=epochs)
    return MedianPruner(n_startup_trials=settings.startup, n_warmup_steps=settings.warmup)


class _SeededSampler(BaseSampler):
    """TPE whose random numbers are those of the seed and the trial's number.

    One sampler with one seed would draw the same values in every process, and others after a sweep went on.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._number, self._sampler = seed, -1, TPESampler(seed=seed)

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if trial.number != self._number:
            state = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
            self._number, self._sampler = trial.number, TPESampler(seed=int(state[0]), constant_liar=True)
        return self._sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The fields that are drawn together."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw these."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw another one."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Called before each trial."""
        self._of(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Called after each trial."""
        self._of(trial).after_trial(study, trial, state, values)
