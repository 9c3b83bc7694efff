"""A `fer-edge run` as a user starts it: what it looks at, a whole one, and one that goes on while the test does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from network_camera import PORTRAIT
from waiting import LIMIT, signals_heard, until

RUN = (sys.executable, "-m", "fer_edge.edge.cli", "run")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def scene(shift: int) -> np.ndarray:
    """(240, 320, 3) with the portrait's face, moved by `shift` pixels."""
    portrait = cv2.resize(cv2.imread(str(PORTRAIT)), (240, 240), interpolation=cv2.INTER_AREA)
    pixels = np.full((240, 320, 3), 90, np.uint8)
    pixels[:, 20 + shift : 260 + shift] = portrait
    return pixels


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A whole `fer-edge run` without a display."""
    command = [*RUN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT, **options)


def start(*words: str | Path) -> subprocess.Popen[str]:
    """A `fer-edge run` that goes on while the test does."""
    pipe = subprocess.PIPE
    with signals_heard():
        return subprocess.Popen([*RUN, *map(str, words)], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT)


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Until the process has done something; fails when it ends before."""
    until(lambda: process.poll() is not None or condition())
    assert process.poll() is None, process.communicate()[1]


def all_lines(path: Path) -> list[str]:
    """The lines of the file and of those before it, the oldest first."""
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [line for each in [*old, path] for line in each.read_text().splitlines()]
