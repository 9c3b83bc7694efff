"""`fer-edge bench` for the tests, and a fake result file."""

from __future__ import annotations

from typing import Any

import numpy as np
from click.testing import CliRunner
from predictions import CLASSES

from fer_edge.edge.cli import main


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def result(kind: str = "accuracy", **changes: object) -> dict[str, Any]:
    about = {"model": None, "cpu": "Some CPU", "cores": 4, "os": "Some OS", "python": "3.11.2"}
    about |= {"packages": {"ai-edge-litert": "9.9", "numpy": "2.0"}, "date": "2020-02-02T00:00:00+00:00"}
    row = {
        "model": "m",
        "runtime": "LiteRT 9.9",
        "bytes": 3 * 2**20,
        "flip": False,
        "invocations": 1,
        "confusion": (10 * np.eye(7, dtype=int) + np.eye(7, k=-1, dtype=int)).tolist(),
        "per_class": {name: {"recall": 0.25} for name in CLASSES},
        "accuracy": 0.5,
        "balanced_accuracy": 0.25,
        "ece": 0.125,
    }
    data = {"name": "fer.csv", "split": "val", "pictures": 4}
    return {"kind": kind, "command": "", "machine": about, "data": data, "rows": [row], **changes}
