"""`fer-edge.toml`: every option of every command, one table per command.

The command line goes before the environment (FER_EDGE_RUN_CAMERA), the environment before the file.

Where there is no file, looking for one is all that it costs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fer_edge.edge.errors import ConfigError

NAME = "fer-edge.toml"

UNCONFIGURED = ("config", "doctor")
"""Commands without a table: they work where the file does not, and say what is wrong with it."""


def places(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where a file is looked for, in this order: the working folder, the user's, the system's."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [Path(NAME), Path(home) / "fer-edge" / NAME, Path("/etc/fer-edge") / NAME]


def find(given: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file in use: the given one, else the first of `places` that is there; None where none is."""
    return given or next((place for place in places(environ) if os.path.isfile(place)), None)


def read(path: Path) -> dict[str, Any]:
    """The file's content, unchecked; ConfigError where it is no TOML."""
    import tomllib  # slow to import, and most people have no file

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; 'fer-edge config --example' prints one to start from") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


_RANK = {
    ParameterSource.COMMANDLINE: 3,
    ParameterSource.ENVIRONMENT: 2,
    ParameterSource.DEFAULT_MAP: 1,
}
"""Which place goes before which: command line, environment, file."""


def overruled(first: str, second: str) -> str | None:
    """Of two parameters that exclude each other, the one whose place gives way; None where both have the same."""
    context = click.get_current_context()
    one, other = (_rank(context.get_parameter_source(name)) for name in (first, second))
    return None if one == other else first if one < other else second


def _rank(source: ParameterSource | None) -> int:
    return 0 if source is None else _RANK.get(source, 0)
