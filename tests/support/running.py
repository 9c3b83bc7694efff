"""`fer-edge run` as a user starts it: to its end, or in the background; and a picture for it."""

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
from waiting import LIMIT, default_signal_handlers, until

RUN = (sys.executable, "-m", "fer_edge.edge.cli", "run")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def scene(shift: int) -> np.ndarray:
    """A (240, 320, 3) picture of the portrait, moved to the right by `shift` pixels."""
    portrait = cv2.resize(cv2.imread(str(PORTRAIT)), (240, 240), interpolation=cv2.INTER_AREA)
    pixels = np.full((240, 320, 3), 90, np.uint8)
    pixels[:, 20 + shift : 260 + shift] = portrait
    return pixels


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `fer-edge run` without a display to its end."""
    command = [*RUN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT, **options)


def start(*words: str | Path) -> subprocess.Popen[str]:
    """Start `fer-edge run` without a display in the background."""
    pipe = subprocess.PIPE
    with default_signal_handlers():
        return subprocess.Popen([*RUN, *map(str, words)], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT)


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait for the condition; fail if the process ends before."""
    until(lambda: process.poll() is not None or condition())
    assert process.poll() is None, process.communicate()[1]


def all_lines(path: Path) -> list[str]:
    """The lines of a file and of its rotated files, the oldest first."""
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [line for each in [*old, path] for line in each.read_text().splitlines()]
