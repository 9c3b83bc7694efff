"""The text of the systemd unit: the command, without any permission that it does not need.

Directives: systemd.service(5), systemd.exec(5), systemd.resource-control(5). `systemd-analyze security` grades it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NAME = "fer-edge.service"

CONFIG = "CONFIG"
"""The word of a unit's command that stands for the configuration file's path."""

CONFIGURED = "# configuration: "
"""Beginning of the unit's line that names the configuration file, which `status` reads."""

WATCHDOG_SECONDS = 30
"""Seconds without a frame after which systemd restarts the service, unless it waits for a disconnected camera."""

STOPPED = 143
"""Exit code where SIGTERM comes before the source is open; afterwards it is 0."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # nothing is written there: # nosec B108
"""Folders that ProtectHome= and PrivateTmp= replace by empty ones."""

DEVICES = ("char-video4linux", "char-media", "char-dma_heap", "/dev/vcio", "/dev/vcio_gencmd", "/dev/vchiq")
"""Cameras, their pipelines and buffers, and the nodes of vcgencmd, which have no major of their own for char-NAME."""

BACKOFF = 254
"""First version of systemd with RestartSteps=."""

HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
"""

SYSTEM_HARDENING = """\
ProtectSystem=strict
PrivateTmp=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
PrivateUsers=yes
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
"""


@dataclass(frozen=True)
class Unit:
    """What differs from one installation to the next.

    Attributes:
        command: The words of ExecStart=; CONFIG among them stands for the configuration file's path.
        config: The configuration file. The system's manager reads it itself and passes it on as a credential, so that
            no other user needs to be able to read a password in it.
        needed: Folders and files that the command must be able to read.
        writable: Folders that it may write to, besides its state folder.
        account: The user that it runs as, None for one that exists only while the service runs.
        network: Whether it may listen and connect.
        version: systemd's version.
        user: Whether the unit is for a user's own service manager, which lacks most of the restrictions.
    """

    command: tuple[str, ...]
    config: Path
    needed: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    account: str | None = None
    network: bool = False
    version: int = 0
    user: bool = False

    def text(self) -> str:
        """The unit file."""
        parts = [_head(self), _service(self), HARDENING, _addresses(self)]
        if not self.user:
            parts += [SYSTEM_HARDENING, _folders(self), _devices()]
        target = "default.target" if self.user else "multi-user.target"
        return "".join(parts) + f"\n[Install]\nWantedBy={target}\n"


def _head(unit: Unit) -> str:
    lines = "# 'fer-edge service install' writes this and overwrites it; changes go into 'systemctl edit fer-edge'.\n"
    lines += f"{CONFIGURED}{unit.config}\n"
    lines += "[Unit]\nDescription=fer-edge, facial expressions from a camera\n"
    if unit.network and not unit.user:
        lines += "Wants=network-online.target\nAfter=network-online.target\n"
    # a camera may be disconnected for a weekend: never give up
    return lines + "StartLimitIntervalSec=0\n"


def _service(unit: Unit) -> str:
    config = _argument(str(unit.config)) if unit.user else "%d/fer-edge.toml"
    words = [config if word == CONFIG else _argument(word) for word in unit.command]
    lines = f"\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={' '.join(words)}\n"
    if not unit.user:
        path = str(unit.config).replace("%", "%%")  # the one directive here that takes quotes as part of the path
        lines += f"LoadCredential=fer-edge.toml:{path}\n"
    lines += f"WatchdogSec={WATCHDOG_SECONDS}\nTimeoutStartSec=120\nTimeoutStopSec=30\n"
    lines += "Restart=on-failure\nRestartSec=5\n"
    lines += f"SuccessExitStatus={STOPPED}\n"
    if unit.version >= BACKOFF:
        lines += "RestartSteps=6\nRestartMaxDelaySec=5min\n"
    lines += "StateDirectory=fer-edge\nStateDirectoryMode=0750\nWorkingDirectory=%S/fer-edge\n"
    if unit.user:
        return lines
    lines += f"User={unit.account}\n" if unit.account else "DynamicUser=yes\n"
    return lines + "SupplementaryGroups=video\n"


def _addresses(unit: Unit) -> str:
    """Address families: libcamera learns of cameras through netlink; the Internet's only for a unit with a network."""
    families = "AF_UNIX AF_NETLINK AF_INET AF_INET6" if unit.network else "AF_UNIX AF_NETLINK"
    lines = f"RestrictAddressFamilies={families}\n"
    return lines if unit.network or unit.user else lines + "PrivateNetwork=yes\nIPAddressDeny=any\n"


def _folders(unit: Unit) -> str:
    """Home folders are hidden, but for the program's own, read-only, and for those that it may write to."""
    visible = [path for path in unit.needed if is_hidden(path)]
    lines = "ProtectHome=tmpfs\n" if visible or unit.writable else "ProtectHome=yes\n"
    lines += "".join(f"BindReadOnlyPaths={quoted(str(path))}\n" for path in outermost(visible))
    for path in outermost(unit.writable):
        lines += f"{'BindPaths' if is_hidden(path) else 'ReadWritePaths'}={quoted(str(path))}\n"
    return lines


def is_hidden(path: Path) -> bool:
    """Whether a path lies in one of the folders that the unit replaces by empty ones."""
    return any(path.is_relative_to(place) for place in HIDDEN)


def _devices() -> str:
    return "DevicePolicy=closed\n" + "".join(f"DeviceAllow={device} rw\n" for device in DEVICES)


def outermost(paths: tuple[Path, ...] | list[Path]) -> list[Path]:
    """The paths that lie in none of the others, sorted and without duplicates."""
    unique = sorted(set(paths))
    return [path for path in unique if not any(other in path.parents for other in unique)]


def _argument(word: str) -> str:
    """A word of ExecStart=, the one directive in which $ introduces a variable."""
    return quoted(word.replace("$", "$$"))


def quoted(word: str) -> str:
    """A word quoted for a unit: % doubled, as it begins a specifier; in quotes where needed, as around a colon."""
    word = word.replace("%", "%%")
    if re.fullmatch(r"[\w@%$+=,./-]+", word, re.ASCII):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
