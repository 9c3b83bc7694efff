"""systemctl asked, wherever the service manager runs and where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click

from fer_edge.edge.board import output


def version() -> int:
    """systemd's, 0 where it is not there."""
    words = (output("systemctl", "--version") or "").split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def reachable(user: bool) -> bool:
    """Whether the service manager runs: sd_booted(3), and for the user's a bus that answers."""
    if not os.path.isdir("/run/systemd/system"):
        return False
    return not user or output("systemctl", "--user", "show-environment") is not None


def systemctl(user: bool, root: Path, *words: str) -> str:
    """What systemctl says on stdout, '' where it is missing; its complaint becomes a line on stderr.

    root: another than / is a system that does not run, as on a mounted card.
    """
    tool = shutil.which("systemctl")
    if tool is None:
        return ""
    place = ["--user"] if user else [f"--root={root}"] if root != Path("/") else []
    done = subprocess.run([tool, *place, *words], capture_output=True, text=True, timeout=60)
    if done.returncode and done.stderr.strip() and words[0] != "is-enabled":
        click.echo(f"systemctl {words[0]}: {done.stderr.strip().splitlines()[-1]}", err=True)
    return done.stdout.strip()
