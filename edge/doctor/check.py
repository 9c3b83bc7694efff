"""The machine that is checked, the result of a check, and processes of their own for what may crash.

Checks read the machine through `Machine`, so that tests can make one up. Whatever imports a compiled library does so in
a process of its own: a library that aborts is then a result like any other.
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

TIMEOUT = 120
"""Seconds for a check's process: importing OpenCV from a slow SD card takes some."""


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        status: OK, WARN or FAIL.
        message: What was found, in one line.
        advice: What to do about it; empty where there is nothing to do.
        anchor: A heading of `anchors.PAGE` that says more, empty where there is none.
    """

    status: str
    message: str
    advice: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Machine:
    """The machine and the environment that are checked.

    Attributes:
        root: The folder that has /proc, /sys, /dev and /etc.
        environ: The environment's variables.
        prefix: The folder of the Python environment.
        config: The configuration file that --config names.
    """

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
        """Whether the board is a Raspberry Pi."""
        return "Raspberry Pi" in (self.board or "")


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended.

    Attributes:
        exit_code: 0 for success; negative for the signal that ended it.
        stdout: What it printed, stripped.
        stderr: Its error output.
    """

    exit_code: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """Why it failed, in one line: the signal that ended it, or the last line on stderr."""
        if self.exit_code < 0:
            return f"crashes ({signal.strsignal(-self.exit_code) or -self.exit_code})"
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1].removeprefix("fer-edge: ") if lines else f"ends with exit code {self.exit_code}"


def run_python(machine: Machine, *words: str) -> ProcessResult:
    """Run this Python in a process of its own.

    Args:
        machine: The machine, for its environment's variables.
        *words: Python's arguments, such as "-c" and code.

    Returns:
        How it ended; one that does not end within TIMEOUT has failed.
    """
    command = [sys.executable, *words]
    try:
        process = subprocess.run(command, capture_output=True, text=True, env=dict(machine.environ), timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return ProcessResult(1, "", f"did not end within {TIMEOUT} s")
    return ProcessResult(process.returncode, process.stdout.strip(), process.stderr)


def run_check(check: Callable[[Machine], CheckResult], machine: Machine) -> CheckResult:
    """Run a check; one that breaks is a result with status FAIL, not a traceback.

    Args:
        check: The check.
        machine: The machine.

    Returns:
        Its result.
    """
    try:
        return check(machine)
    except Exception as error:
        text = " ".join(str(error).split())
        message = f"the check itself failed ({type(error).__name__}: {text})"
        return CheckResult(FAIL, message, "please report this as a bug")
