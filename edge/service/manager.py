"""systemd's service manager: the system's or the user's, on this machine or for a mounted card."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.config.file import NAME as CONFIG_NAME
from fer_edge.edge.device.board import command_output
from fer_edge.edge.errors import ServiceError
from fer_edge.edge.service.systemd_unit import NAME

TIMEOUT = 60.0
"""Seconds to wait for systemctl; stopping a service takes up to 30."""


def systemd_version() -> int:
    """systemd's version, 0 where it is missing."""
    words = (command_output("systemctl", "--version") or "").split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


@dataclass(frozen=True)
class ServiceManager:
    """The service manager that an installation is for.

    Attributes:
        user: Whether it is the user's own, which may do less.
        root: The system's root folder; any but / is that of a system that does not run, as on a mounted card.
    """

    user: bool = False
    root: Path = Path("/")

    @property
    def is_here(self) -> bool:
        """Whether it is of the system that runs."""
        return self.root == Path("/")

    @property
    def unit_path(self) -> Path:
        """Where the unit lies."""
        return (_user_folder(self.root) / "systemd/user" if self.user else self.root / "etc/systemd/system") / NAME

    @property
    def config_path(self) -> Path:
        """Where the configuration file lies that the service reads, unless another is in use."""
        return (_user_folder(self.root) if self.user else self.root / "etc") / "fer-edge" / CONFIG_NAME

    @property
    def restart_command(self) -> str:
        """What restarts the service."""
        return f"{'systemctl --user' if self.user else 'sudo systemctl'} restart fer-edge"

    def is_reachable(self) -> bool:
        """Whether the service manager runs here and answers: sd_booted(3), and for the user's its bus."""
        if not self.is_here or not os.path.isdir("/run/systemd/system"):
            return False
        return not self.user or command_output("systemctl", "--user", "show-environment") is not None

    def systemctl(self, *words: str) -> str:
        """Call systemctl.

        Args:
            *words: Its arguments.

        Returns:
            What it prints on stdout.

        Raises:
            ServiceError: systemctl is missing, fails, or does not answer in time.
        """
        process = self._run(*words)
        if process.returncode:
            lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
            raise ServiceError(f"'{' '.join(process.args)}' failed: {lines[-1].rstrip('.')}; fix that and try again")
        return process.stdout.strip()

    def enabled_state(self) -> str:
        """Whether the service is enabled, in systemd's word ('enabled', 'disabled' …); 'unknown' where it has none."""
        try:
            return self._run("is-enabled", NAME).stdout.strip() or "unknown"
        except ServiceError:
            return "unknown"

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        place = ["--user"] if self.user else [] if self.is_here else [f"--root={self.root}"]
        command = ["systemctl", *place, *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise ServiceError(f"'{' '.join(command)}' did not answer within {TIMEOUT:g} s; try again") from None
        except OSError as error:
            raise ServiceError(f"systemctl is missing ({error.strerror}); a service needs systemd") from None


def _user_folder(root: Path) -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return root / folder.lstrip("/")
