"""Keras callbacks from a Python file of a user's own (`train --callback FILE.py`)."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ConfigError, FerEdgeError, shortened
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.user_modules import load_module, user_error

CALLBACKS = "callbacks"
"""The function of the file; it takes the run and returns Keras callbacks."""


@contextmanager
def own_callbacks(path: Path | None, run: TrainingRun) -> Iterator[list[Any]]:
    """The callbacks of a file, for the training inside the block.

    Args:
        path: The file; without it there are no callbacks.
        run: The run, which the file's function is called with.

    Yields:
        The callbacks.

    Raises:
        ConfigError: The file cannot be run, its function returns something else, or one of its callbacks has failed.
    """
    if path is None:
        yield []
        return
    made = _make(path, run)
    try:
        yield made
    except FerEdgeError:
        raise
    except Exception as error:
        if not any(frame.filename == str(path) for frame in traceback.extract_tb(error.__traceback__)):
            raise
        raise ConfigError(
            f"--callback {path} failed: {user_error(error, path)}; finished epochs are kept, continue with --resume"
        ) from error


def _make(path: Path, run: TrainingRun) -> list[Any]:
    """Call the file's function."""
    from fer_edge.train.backend import keras

    function = getattr(load_module(path, CALLBACKS, "--callback"), CALLBACKS)
    try:
        made = list(function(run))
    except Exception as error:
        raise ConfigError(f"--callback {path}, {CALLBACKS}(run): {user_error(error, path)}") from None
    strangers = [each for each in made if not isinstance(each, keras.callbacks.Callback)]
    if strangers:
        raise ConfigError(
            f"--callback {path}, {CALLBACKS}(run) returned {shortened(strangers[0])}; expected keras.callbacks.Callback"
        )
    return made
