"""Python files of a user's own, which are run once and define one function, such as `callbacks`."""

from __future__ import annotations

import hashlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from fer_edge.edge.errors import ConfigError, shortened
from fer_edge.edge.files.documents import read_limited

MAX_BYTES = 1 << 20


def load_module(path: Path, function: str, option: str) -> ModuleType:
    """Run a Python file, and leave nothing beside it.

    Args:
        path: The file. It stands alone: it may import installed packages, not files beside it.
        function: The name of the function that it must define.
        option: The option that named the file, for error messages.

    Returns:
        Its module.

    Raises:
        ConfigError: It cannot be read or run, or does not define the function.
    """
    expected = f"a Python file with a function {function}"
    try:
        source = read_limited(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror}; expected {expected}") from None
    except ValueError as error:
        raise ConfigError(f"{option} {path}: {error}; expected {expected}") from None
    digest = hashlib.sha256(source).hexdigest()
    module = ModuleType(f"fer_edge_user_{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and Keras' serialization look a class's module up
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # the user named the file: # nosec B102
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ConfigError(f"{option} {path} cannot be run: {user_error(error, path)}") from None
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"{option} {path} defines no function {function}; expected {expected}")
    return module


def user_error(error: BaseException, path: Path) -> str:
    """An error of a user's code in one line, with the line of the file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = "" if line is None else f"line {line}, "
    return f"{where}{type(error).__name__}: {shortened(error, 200)}"
