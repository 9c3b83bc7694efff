"""What the table [run] of a service's file asks for: files to read, folders to write to, a port; none of it in vain.

A service has no screen, sees no home folders, may write to few places, and starts somewhere else than a shell does.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.option_values import as_toml
from fer_edge.edge.errors import ServiceError, redact
from fer_edge.edge.expression.model_files import model_files
from fer_edge.edge.service.systemd_unit import is_hidden

STATE_FOLDER = Path("/var/lib/fer-edge")
"""Where relative paths of a system's service start: StateDirectory=fer-edge."""

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""PATH of a system's service, systemd.exec(5)."""

FREE_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

READ_KEYS = ("source", "source-ca", "model", "mqtt-ca", "delegate")
"""Options whose value may be a file, or a folder, that is read."""


@dataclass(frozen=True)
class Access:
    """What a service may do with files.

    Attributes:
        user: Whether it is a user's own, which sees and may do what the user does.
        account: The user that a system's service runs as; None for one that exists only while it runs.
        writable: Folders that it may write to, besides its state folder.
        root: The system's root folder; below another than / nothing is known of accounts.
    """

    user: bool = False
    account: str | None = None
    writable: tuple[Path, ...] = ()
    root: Path = Path("/")

    @property
    def is_here(self) -> bool:
        """Whether the accounts of the system are known."""
        return self.root == Path("/")


def check_settings(table: dict[str, Any], known: dict[str, click.Option], access: Access) -> tuple[Path, ...]:
    """Check that a service can do what its configuration asks for.

    Args:
        table: The table [run] of the file, checked against the options.
        known: The options of `fer-edge run` by key.
        access: What the service may do.

    Returns:
        The files and folders that it reads.

    Raises:
        ServiceError: It has no screen, cannot read or write a file, start a program, or listen on a port.
    """
    if table.get("show") == "window":
        raise ServiceError('[run] show = "window": a service has no screen; write show = "none"')
    if "web" in table:
        _check_port(str(table["web"]))
    if access.user:
        return ()
    for key, option in known.items():
        if isinstance(option, Option) and option.stores and table.get(key, "-") != "-":
            _check_output(key, str(table[key]), access)
    files = [path for key in READ_KEYS if key in table for path in _files_read(key, str(table[key]), access)]
    programs = [_program(str(command), access) for _, command in table.get("on", [])]
    return (*files, *filter(None, programs))


def check_writable(folder: Path, access: Access) -> None:
    """Check that the service's user may write to a folder.

    Args:
        folder: The folder, which exists.
        access: What the service may do.

    Raises:
        ServiceError: It may not.
    """
    if access.is_here and not access.user and not _may(folder, access.account, os.W_OK | os.X_OK):
        raise ServiceError(f"--write {folder}: {_who(access)} cannot write to it; chown or chmod it, or give --run-as")


def check_video_group(user: bool) -> str | None:
    """Check that the service gets at cameras, which belong to the group `video`.

    Args:
        user: Whether it is the calling user's own.

    Returns:
        What to do, in one line, where the calling user is not in the group; None where all is well.

    Raises:
        ServiceError: The system has no such group, so that systemd could not start the service.
    """
    try:
        video = grp.getgrnam("video").gr_gid
    except KeyError:
        if user:
            return None
        raise ServiceError("there is no group 'video', which the service joins for cameras; groupadd video") from None
    if not user or os.getuid() == 0 or video in os.getgroups():
        return None
    return "you are not in the group 'video', to which cameras belong: sudo usermod -aG video $USER"


def _setting(key: str, value: str) -> str:
    return f"[run] {key} = {as_toml(redact(value))}"


def _check_port(address: str) -> None:
    port = re.search(r"\d{1,5}$", address)
    try:
        lowest = int(FREE_PORTS.read_text())
    except (OSError, ValueError):
        lowest = 1024
    if port and 0 < int(port[0]) < lowest:
        raise ServiceError(f"{_setting('web', address)}: a service may listen from port {lowest} on; write 8080")


def _resolved(key: str, value: str, access: Access) -> Path:
    """The path that a service means by a value. Raises ServiceError for ~/, whose meaning would change."""
    if value.startswith("~"):
        why = "~ is another folder for the service's user; write the whole path"
        raise ServiceError(f"{_setting(key, value)}: {why}")
    return Path(os.path.normpath(STATE_FOLDER / value))


def _check_output(key: str, value: str, access: Access) -> None:
    path = _resolved(key, value, access)
    places = (STATE_FOLDER, Path("/dev"), *access.writable)
    names = (path, Path(os.path.realpath(path))) if access.is_here else (path,)  # folders of --write have no links
    if not any(name.is_relative_to(place) for name in names for place in places):
        where = f"a service writes to {STATE_FOLDER}, where relative paths start, and to folders of --write"
        raise ServiceError(f"{_setting(key, value)}: {where}; give --write {path.parent}, or a relative path")


def _files_read(key: str, value: str, access: Access) -> list[Path]:
    """The files that a value means, checked; none where it means another thing: an address, a pipeline, a name."""
    if key == "delegate":
        value = value.partition(":")[0]
    is_name = key in ("model", "delegate") and os.sep not in value and not value.endswith((".tflite", ".json"))
    if is_name or "://" in value or "!" in value or value.startswith(("gst:", "/dev/")):
        return []
    named = access.root / _resolved(key, value, access).relative_to("/")
    files = [named, *(model_files(str(named)) if key == "model" else ())]
    for file in files:
        _check_readable(key, value, file, access)
    return [Path("/") / file.relative_to(access.root) for file in files]


def _check_readable(key: str, value: str, file: Path, access: Access) -> None:
    if not file.exists():
        start = "" if os.path.isabs(value) else f"; a service's relative paths start at {STATE_FOLDER}"
        raise ServiceError(f"{_setting(key, value)}: there is no {file}{start}")
    if access.is_here and not _may(file, access.account, os.R_OK | (os.X_OK if file.is_dir() else 0)):
        raise ServiceError(f"{_setting(key, value)}: {_who(access)} cannot read {file}; chmod it, or give --run-as")


def _program(command: str, access: Access) -> Path | None:
    """The program of a command of --on, None below another root, where it may be installed later."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not access.is_here or not words:  # `run` says what is wrong with the command itself
        return None
    if os.sep in words[0] and not os.path.isabs(words[0]):
        raise ServiceError(f"[run] on: {words[0]}: a service starts in {STATE_FOLDER}; give the program's whole path")
    found = shutil.which(words[0], path=SEARCHED)
    if found is None:
        raise ServiceError(f"[run] on: {words[0]}: there is no such program in {SEARCHED}; give its whole path")
    return Path(found)


def _who(access: Access) -> str:
    return f"the user {access.account}" if access.account else "the service's user, who is any other,"


def _may(path: Path, account: str | None, wanted: int) -> bool:
    """Whether an account, or one that owns nothing, has permissions of a file.

    Of the folders above it those count that the service sees: others are replaced, with the file mounted into them.
    """
    if path.parent != path and not is_hidden(path) and not _may(path.parent, account, os.X_OK):
        return False
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if account is not None:
        user = pwd.getpwnam(account)
        if user.pw_uid == 0:
            return True
        if user.pw_uid == status.st_uid:
            mode >>= 6
        elif status.st_gid in os.getgrouplist(account, user.pw_gid):
            mode >>= 3
    return mode & wanted == wanted
