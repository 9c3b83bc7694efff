"""`fer-edge doctor`: what can be wrong with a device, each as a small question with an answer that says what to do.

Questions read the machine through `Here`, so that a made-up one can be asked too. Whatever imports a compiled library
does so in a process of its own: a library that aborts is then a finding like any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.edge.device.board import read_text

OK, WARN, FAIL = "ok", "warn", "fail"

PATIENCE = 120
"""Seconds for a question's process: importing OpenCV from a slow SD card takes some."""


@dataclass(frozen=True)
class Finding:
    """An answer. advice: what to do; answer: the anchor in `anchors.NAME` that says more."""

    status: str
    found: str
    advice: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Here:
    """The machine and the environment that are looked at."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    prefix: Path = Path(sys.prefix)
    config: Path | None = None

    @property
    def board(self) -> str | None:
        """A single-board computer's name, such as 'Raspberry Pi 5 Model B Rev 1.0'; None on a PC."""
        return read_text(self.root / "proc/device-tree/model")

    @property
    def is_pi(self) -> bool:
        return "Raspberry Pi" in (self.board or "")


@dataclass(frozen=True)
class Answer:
    """What a process of its own printed, and how it ended."""

    code: int
    out: str
    errors: str

    @property
    def reason(self) -> str:
        """Why it failed, in one line: the signal that ended it, or the last line on stderr."""
        if self.code < 0:
            return f"crashes ({signal.strsignal(-self.code) or -self.code})"
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1].removeprefix("fer-edge: ") if lines else f"ends with exit code {self.code}"


def ask(here: Here, *words: str) -> Answer:
    """Run this Python with these words, as `-c`, code, argument …"""
    command = [sys.executable, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=dict(here.environ), timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Answer(1, "", f"gave no answer in {PATIENCE} s")
    return Answer(done.returncode, done.stdout.strip(), done.stderr)


def examine(question: Callable[[Here], Finding], here: Here) -> Finding:
    """The question's answer; a question that itself breaks is a finding, not a traceback."""
    try:
        return question(here)
    except Exception as error:
        told = " ".join(str(error).split())
        return Finding(FAIL, f"could not be looked at ({type(error).__name__}: {told})", "please report this as a bug")
