"""A trial of a network in a process of its own: a damaged file or a vendor's library that crashes would end the run."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.tflite.card import sha256
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.edge.types import Acceleration
from fer_edge.models import SHIPPED

TIMEOUT = 120.0
"""Seconds for a trial; a GPU may compile for long."""

_PROGRAM = "from fer_edge.edge.tflite.trial import main; main()"

_tried: set[tuple[str, Acceleration]] = set()
"""What this process need not try again, by sha256; "" stands for the shipped files: one is tried per library."""


def probe(
    path: Path,
    acceleration: Acceleration | None = None,
    shape: tuple[int, ...] | None = None,
    digest: str | None = None,
) -> None:
    """Open and run a network in a new process first, unless it is known to run.

    TFLite believes what a file says about its own tables and buffers, so that a damaged one crashes it, and a sha256 in
    a card that came with the file proves nothing. A delegate's library that was built for another version of TFLite
    than the installed one crashes too, as Coral's does, and so does one that was compiled for instructions that the
    processor lacks.

    Args:
        path: The .tflite file.
        acceleration: A delegate, or one accelerator; None for the interpreter on the CPU. There a shipped file is not
            tried, and another one once in this and later processes, as an empty file in the user's cache folder says.
        shape: Shape of its input with a delegate or accelerator; None for the one in the file.
        digest: The file's sha256; computed where None.

    Raises:
        ModelError: The process crashed, or did not end, or the CPU does not run the file. Other failures of delegates
            and accelerators are left to the caller's own attempt.
    """
    acceleration, digest = acceleration or Acceleration(), digest or sha256(path)
    on_cpu, shipped = acceleration == Acceleration(), digest in SHIPPED
    key = ("" if shipped else digest, acceleration)
    marker = _marker(digest) if on_cpu and not shipped else None
    if (on_cpu and shipped) or key in _tried or (marker is not None and marker.exists()):
        return
    _try(path, acceleration, shape)
    _tried.add(key)
    if marker is not None:
        with suppress(OSError):
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()


def _try(path: Path, acceleration: Acceleration, shape: tuple[int, ...] | None) -> None:
    """Run the trial. Raises ModelError."""
    words = [acceleration.delegate or "", acceleration.accelerator or "", ",".join(map(str, shape or ()))]
    on_cpu = acceleration == Acceleration()
    name = str(path) if on_cpu else f"{path.name} with {f'delegate {words[0]}' if words[0] else words[1]}"
    hint = "the file may be damaged; fetch or convert it again"
    if not on_cpu:
        hint = "its library may be for another version of TFLite or another processor"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(path), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{name} does not end within {TIMEOUT:.0f} s; {hint}") from None
    except OSError as error:
        raise ModelError(f"{name} cannot be tried in a process of its own: {error.strerror}") from None
    if done.returncode == -signal.SIGXCPU:
        raise ModelError(f"{name} does not end; {hint}")
    if done.returncode < 0:
        raise ModelError(f"{name} crashes the TFLite runtime ({signal.Signals(-done.returncode).name}); {hint}")
    if done.returncode and on_cpu:
        reason = done.stdout.decode("utf-8", "replace").strip() or f"{path} cannot be run; {hint}"
        raise ModelError(shortened(reason, 400))


def _marker(digest: str) -> Path | None:
    """The file in the user's cache folder that says that a network runs in this runtime; None without a folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = f"{digest}-{runtime().name}-{runtime().version}-{platform.machine()}"
    return Path(cache) / "fer-edge" / "models-that-run" / name if os.path.isabs(cache) else None
