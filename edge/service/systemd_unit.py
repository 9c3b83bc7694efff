"""The systemd unit that `fer-edge service` writes: what runs, and everything that it may not do.

Directives: systemd.service(5), systemd.exec(5), systemd.resource-control(5). `systemd-analyze security` grades it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NAME = "fer-edge.service"

CONFIG = "CONFIG"

CONFIGURED = "# configuration: "
"""What the line of the unit begins with that tells `status` which file it was written for."""

WATCHDOG_SECONDS = 30
"""Without a frame for so long the service is restarted, unless it waits for a camera that was lost."""

HIDDEN = ("/home", "/root", "/run/user")
"""What ProtectHome= replaces by an empty folder."""

DEVICES = ("char-video4linux", "char-media", "char-dma_heap", "/dev/vcio", "/dev/vcio_gencmd", "/dev/vchiq")
"""Cameras, their pipelines, their buffers, and those that vcgencmd asks; char-NAME is for majors, which these lack."""

BACKOFF = 254
"""systemd's first version with RestartSteps=."""

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

    command: the words of ExecStart; CONFIG among them stands for the file's path. config: that file, which systemd
    itself reads, so that a password in it is for nobody else. needed: what the command must be able to read.
    writable: folders besides the state folder that it may write to. account: None for a user that exists only while
    the service runs. network: whether it may listen and connect. version: systemd's. user: for the user's own
    service manager, which cannot do most of the rest.
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
    # a camera may be away for a weekend: never give up
    return lines + "StartLimitIntervalSec=0\n"


def _service(unit: Unit) -> str:
    config = _argument(str(unit.config)) if unit.user else "%d/fer-edge.toml"
    words = [config if word == CONFIG else _argument(word) for word in unit.command]
    lines = f"\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={' '.join(words)}\n"
    if not unit.user:
        path = str(unit.config).replace("%", "%%")  # the one directive here that takes quotes for a part of the path
        lines += f"LoadCredential=fer-edge.toml:{path}\n"
    lines += f"WatchdogSec={WATCHDOG_SECONDS}\nTimeoutStartSec=120\nTimeoutStopSec=30\n"
    lines += "Restart=on-failure\nRestartSec=5\n"
    if unit.version >= BACKOFF:
        lines += "RestartSteps=6\nRestartMaxDelaySec=5min\n"
    lines += "StateDirectory=fer-edge\nStateDirectoryMode=0750\nWorkingDirectory=%S/fer-edge\n"
    if unit.user:
        return lines
    lines += f"User={unit.account}\n" if unit.account else "DynamicUser=yes\n"
    return lines + "SupplementaryGroups=video\n"


def _addresses(unit: Unit) -> str:
    """Netlink is how libcamera learns of cameras; the Internet's families only where something listens or connects."""
    families = "AF_UNIX AF_NETLINK AF_INET AF_INET6" if unit.network else "AF_UNIX AF_NETLINK"
    lines = f"RestrictAddressFamilies={families}\n"
    return lines if unit.network or unit.user else lines + "PrivateNetwork=yes\nIPAddressDeny=any\n"


def _folders(unit: Unit) -> str:
    """Homes are empty, but for what the program is made of, read-only, and for what it may write to."""
    shown = [path for path in unit.needed if _hidden(path)]
    lines = "ProtectHome=tmpfs\n" if shown or unit.writable else "ProtectHome=yes\n"
    lines += "".join(f"BindReadOnlyPaths={quoted(str(path))}\n" for path in outermost(shown))
    for path in outermost(unit.writable):
        lines += f"{'BindPaths' if _hidden(path) else 'ReadWritePaths'}={quoted(str(path))}\n"
    return lines


def _hidden(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in HIDDEN)


def _devices() -> str:
    return "DevicePolicy=closed\n" + "".join(f"DeviceAllow={device} rw\n" for device in DEVICES)


def outermost(paths: tuple[Path, ...] | list[Path]) -> list[Path]:
    """The paths that lie in none of the others, sorted."""
    unique = sorted(set(paths))
    return [path for path in unique if not any(other in path.parents for other in unique)]


def _argument(word: str) -> str:
    """A word of ExecStart=, the one directive in which $ stands for a variable."""
    return quoted(word.replace("$", "$$"))


def quoted(word: str) -> str:
    """A word as systemd reads it back: specifiers doubled, quoted where it must be; a bare colon divides paths."""
    word = word.replace("%", "%%")
    if re.fullmatch(r"[\w@%$+=,./-]+", word, re.ASCII):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
