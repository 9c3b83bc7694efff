"""`fer-edge.toml`: where it lies, and which values go before it.

The command line goes before the environment (FER_EDGE_RUN_CAMERA), the environment before the file, the file before the
defaults. The file has a table per command and a key per option.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fer_edge.edge.errors import ConfigError
from fer_edge.edge.files.documents import read_toml

NAME = "fer-edge.toml"

UNCONFIGURED = ("config", "doctor")
"""Commands without a table: they work where the file does not, and report what is wrong with it."""


def places(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The paths at which a file is looked for, in this order: in the working folder, the user's, the system's.

    Args:
        environ: The environment, for XDG_CONFIG_HOME.

    Returns:
        Three paths.
    """
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [Path(NAME), Path(home) / "fer-edge" / NAME, Path("/etc/fer-edge") / NAME]


def find(chosen: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file in use.

    Args:
        chosen: What --config names.
        environ: The environment, for XDG_CONFIG_HOME.

    Returns:
        The chosen file, which may be missing, else the first of `places` that exists; None where none does.

    Raises:
        ConfigError: The chosen name is blank.
    """
    if chosen is not None and not str(chosen).strip():
        raise ConfigError("FER_EDGE_CONFIG: the value is empty; give a path, or unset the variable")
    return chosen or next((place for place in places(environ) if os.path.isfile(place)), None)


def read(path: Path) -> dict[str, Any]:
    """The file's content, not yet checked against the options.

    Args:
        path: The file.

    Returns:
        What TOML 1.0 makes of it.

    Raises:
        ConfigError: The file cannot be read, or is not TOML in UTF-8, or beyond its limits.
    """
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; 'fer-edge config --example' prints one to start from") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


_RANK = {
    ParameterSource.COMMANDLINE: 3,
    ParameterSource.ENVIRONMENT: 2,
    ParameterSource.DEFAULT_MAP: 1,
}
"""Which origin goes before which: command line, environment, file."""


def overruled(first: str, second: str) -> str | None:
    """Of two parameters of the current command that exclude each other, the one that gives way.

    Args:
        first: A parameter's name.
        second: The other's.

    Returns:
        The name whose value comes from the weaker origin; None where both come from the same.
    """
    context = click.get_current_context()
    one, other = (_rank(context.get_parameter_source(name)) for name in (first, second))
    return None if one == other else first if one < other else second


def _rank(source: ParameterSource | None) -> int:
    return 0 if source is None else _RANK.get(source, 0)
