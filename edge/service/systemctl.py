"""systemctl asked, wherever the service manager runs and where it does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fer_edge.edge.device.board import command_output
from fer_edge.edge.errors import ServiceError

PATIENCE = 60.0
"""Seconds for an answer; stopping a service takes up to 30."""


def version() -> int:
    """systemd's, 0 where it is not there."""
    words = (command_output("systemctl", "--version") or "").split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def reachable(user: bool) -> bool:
    """Whether the service manager runs: sd_booted(3), and for the user's a bus that answers."""
    if not os.path.isdir("/run/systemd/system"):
        return False
    return not user or command_output("systemctl", "--user", "show-environment") is not None


def systemctl(user: bool, root: Path, *words: str) -> str:
    """What systemctl says on stdout; ServiceError where it is missing, fails or gives no answer.

    root: another than / is a system that does not run, as on a mounted card.
    """
    done = _run(user, root, *words)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServiceError(f"'{' '.join(done.args)}' failed: {said[-1].rstrip('.')}; mend that and try again")
    return done.stdout.strip()


def enabled(user: bool, root: Path, name: str) -> str:
    """Whether a unit is, in systemd's word, 'unknown' where it has none; a unit that is not is no failure."""
    try:
        return _run(user, root, "is-enabled", name).stdout.strip() or "unknown"
    except ServiceError:
        return "unknown"


def _run(user: bool, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    place = ["--user"] if user else [f"--root={root}"] if root != Path("/") else []
    command = ["systemctl", *place, *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise ServiceError(f"'{' '.join(command)}' gave no answer in {PATIENCE:g} s; try again") from None
    except OSError as error:
        raise ServiceError(f"systemctl is not here ({error.strerror}); a service needs systemd") from None
