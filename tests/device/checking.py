"""What every check beside a device needs: a line for each check, and the command as a user types it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable

COMMAND = (sys.executable, "-m", "fer_edge.edge.cli")
LIGHT = ("--show", "none", "--model", "mobilenet_v2", "--detector", "blazeface-short")
PATIENCE = 600  # seconds for anything: the machine is emulated
MUCH = 3000  # characters of an output that are shown

failed: list[str] = []


def check(what: str, truth: bool) -> None:
    print(f"{'ok   ' if truth else 'FAIL '} {what}", flush=True)
    if not truth:
        failed.append(what)


def end() -> None:
    """Say how it went and leave with 1 where a check failed."""
    print(f"{len(failed)} checks failed" if failed else "all checks passed", flush=True)
    sys.exit(1 if failed else 0)


def fer_edge(*words: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
    said = f"{done.stdout[:MUCH]}{done.stderr}"
    print(f"$ fer-edge {' '.join(map(str, words))}\n{said}exit code {done.returncode}", flush=True)
    return done


def one_line(done: subprocess.CompletedProcess[str], told: str) -> bool:
    """Whether it ended with exit code 2 and one line that tells so."""
    return done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1


def waited(condition: Callable[[], bool]) -> bool:
    """Whether it came true before patience ended."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
    return condition()


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Whether it came true before the process ended or patience did."""
    return waited(lambda: condition() or process.poll() is not None) and condition()


class _Reports(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def reports() -> list[str]:
    """What the sources log from now on, as a list that grows."""
    handler, logger = _Reports(), logging.getLogger("fer_edge.edge.sources")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler.lines
