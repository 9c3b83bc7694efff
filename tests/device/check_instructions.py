"""Compares instruction counts of emulated Arm with those recorded; tests/device/instructions.sh runs it.

`check_instructions.py clips FILE` makes the clips whose frames are counted. `compare FOLDER` prints a line per case
that count_instructions.py counted and exits with 1 where one grew; `record FOLDER` makes the counts the recorded ones.
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from device_checks import check, failures

from fer_edge.benchmarks.fixtures.clips import NOISE, PORTRAIT, frames
from fer_edge.benchmarks.results_io.instructions import FILE, MAX_GROWTH, changes, differences
from fer_edge.benchmarks.results_io.record import read
from fer_edge.edge.device.version import git_revision
from fer_edge.edge.files.documents import write_json

HEAD = (slice(40, 260), slice(120, 340))  # rows and columns of the portrait: a head with some space around it
ROOM = (slice(0, 220), slice(332, 512))  # and a part without a person
FRAMES, EMPTY_FRAMES, SIZE = 50, 10, (640, 480)


def make_clips(path: Path) -> None:
    """Write frames of a swaying face and of a still room, with a camera's noise: (F, 480, 640, 3) uint8 each."""
    portrait = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    room = cv2.resize(portrait[ROOM], SIZE, interpolation=cv2.INTER_LINEAR)
    rng = np.random.default_rng(0)
    noisy = [room + NOISE * rng.standard_normal(room.shape, np.float32) for _ in range(EMPTY_FRAMES)]
    empty = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    np.savez(path, face=np.stack(list(frames(portrait[HEAD], FRAMES, 1, *SIZE))), empty=empty)


def counted(folder: Path) -> dict[str, Any]:
    """The result of all processors, from a file of count_instructions.py for each."""
    results = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("cortex-*.json"))]
    cpus = [each["machine"]["cpu"] for each in results]
    machine = {**results[0]["machine"], "cpu": f"{', '.join(cpus)}, emulated", "git": git_revision()}
    rows = [{"cpu": cpu, **row} for cpu, result in zip(cpus, results, strict=True) for row in result["rows"]]
    plugin = Path(__file__).with_name("instruction_counter.c")
    return {
        "kind": "arm-instructions",
        "command": "make arm-instructions",
        "machine": machine,
        "emulator": os.environ["EMULATOR"],
        "plugin": sha256(plugin.read_bytes()).hexdigest(),
        "sha256": results[0]["sha256"],
        "rows": rows,
    }


def compare(folder: Path) -> None:
    """Check each case against the recorded one."""
    if not FILE.exists():
        sys.exit(f"{FILE} is missing; 'make arm-instructions' writes it")
    recorded, now = read(FILE), counted(folder)
    for line in differences(recorded, now):
        print(f"note: not as recorded: {line}", flush=True)
    for change in changes(recorded, now):
        check(str(change), change.passed)
    if failures:
        print(
            f"{FILE.name}: a case may grow by {MAX_GROWTH:.0%}; where more is right, say why in the commit, and record "
            "the new counts and their table with 'make arm-instructions'"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["clips", path]:
            make_clips(Path(path))
        case ["compare", folder]:
            compare(Path(folder))
        case ["record", folder]:
            print(f"wrote {write_json(FILE, counted(Path(folder)))}")
        case _:
            sys.exit("expected: check_instructions.py clips FILE, compare FOLDER or record FOLDER")
    sys.exit(1 if failures else 0)
