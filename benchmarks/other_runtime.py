"""The same measurement by another environment's Python, whose TFLite runtime may differ."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.results_io.record import ResultError


def python_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--python`, repeatable, as `pythons`."""
    return click.option(
        "--python",
        "pythons",
        multiple=True,
        metavar="PATH",
        help="Another environment's Python, measured too: its TFLite runtime may differ. Repeatable.",
    )(command)


def rows_from(python: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `fer-edge bench ARGUMENTS` in that environment, and its versions; ResultError says why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [python, "-m", "fer_edge.edge.cli", "bench", *arguments, "--out", str(out)]
        try:
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise ResultError(f"--python {python} cannot be run: {error.strerror}; expected a Python") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ResultError(f"--python {python} failed: {last}; it needs fer-edge and a TFLite runtime")
        result = json.loads(out.read_text("utf-8"))
        machine = {name: result["machine"][name] for name in ("python", "packages")}
        return [{**row, **machine} for row in result["rows"]]
