"""Repeat a measurement with another environment's Python, whose TFLite runtime may differ."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.results_io.record import ResultError, complete
from fer_edge.edge.files.documents import read_json


def python_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the repeatable option `--python`."""
    return click.option(
        "--python",
        multiple=True,
        metavar="PATH",
        help="Python of another environment, with another TFLite runtime, to measure with too. Repeatable.",
    )(command)


def rows_from(python: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Run `fer-edge bench ARGUMENTS` in another environment.

    Args:
        python: That environment's Python.
        arguments: The command line behind `bench`, without --out.

    Returns:
        The rows of its result, each with the environment's Python version and packages.

    Raises:
        ResultError: The Python cannot be run, or the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        # its options are all in the arguments: a --python that came from the file or the environment would not end
        command = [python, "-m", "fer_edge.edge.cli", "--config", os.devnull, "bench", *arguments, "--out", str(out)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
        try:
            process = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
            )
        except OSError as error:
            raise ResultError(f"--python {python} cannot be run: {error.strerror}; expected a Python's path") from None
        if process.returncode:
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise ResultError(f"--python {python} failed: {last}; it needs fer-edge and a TFLite runtime")
        with complete(out):
            result = read_json(out)
            machine = {name: result["machine"][name] for name in ("python", "packages")}
            return [{**row, **machine} for row in result["rows"]]
