"""The unit for an installation: which files it needs, which user runs it, and whether it needs a network."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.file import find, read
from fer_edge.edge.config.option_values import options
from fer_edge.edge.config.tables import find_command, settings
from fer_edge.edge.errors import ServiceError
from fer_edge.edge.service.manager import ServiceManager, systemd_version
from fer_edge.edge.service.options import InstallOptions
from fer_edge.edge.service.systemd_unit import CONFIG, HIDDEN, Unit, outermost
from fer_edge.models import FOLDER


def config_in_use(manager: ServiceManager, root: click.Context) -> Path | None:
    """The configuration file that the service shall read.

    Args:
        manager: The service manager.
        root: The context of the group of all commands, which knows --config.

    Returns:
        The file in use, below another root the one at its usual path; None where there is none.

    Raises:
        ServiceError: Its name holds a line break.
    """
    usual = manager.config_path
    path = find(root.params["config"]) if manager.is_here else usual if usual.is_file() else None
    if path is not None and manager.is_here:
        path = path.resolve()
    if path is not None and "\n" in str(path):
        raise ServiceError(f"{str(path)!r} holds a line break, which a unit cannot have; rename it")
    return path


def build_unit(manager: ServiceManager, choices: InstallOptions, config: Path | None, root: click.Context) -> Unit:
    """The unit of an installation, checked.

    Args:
        manager: The service manager.
        choices: The options of the installation.
        config: The configuration file in use, None where one will be written to `manager.config_path`.
        root: The context of the group of all commands.

    Returns:
        The unit.

    Raises:
        ConfigError: The configuration file is wrong.
        ServiceError: A user or folder is missing, or the service's user could not read the program.
    """
    account = None if manager.user else choices.run_as
    network = choices.network
    if config is not None:
        needs = needs_network(config, root)  # also checks the file: a service that cannot start is of no use
        network = needs if network is None else network
    unit = Unit(
        command=(sys.executable, "-P", "-m", "fer_edge.edge.cli", "--config", CONFIG, "run"),
        config=Path("/") / (config or manager.config_path).relative_to(manager.root),
        needed=_program_folders(),
        writable=tuple(_writable_folder(path.resolve(), manager.root) for path in choices.write),
        account=_checked_account(account),
        network=bool(network),
        version=systemd_version(),
        user=manager.user,
    )
    if not manager.user and account is None:
        _check_readable(unit.needed)
    return unit


def needs_network(config: Path, root: click.Context) -> bool:
    """Whether a run with this configuration file may need a network: for its outputs, or for its source.

    A GStreamer pipeline may listen or connect though no address stands in it: udpsrc, an element with a peer.

    Args:
        config: The file.
        root: The context of the group of all commands.

    Returns:
        Whether it may.

    Raises:
        ConfigError: The file cannot be read, or its table [run] is wrong.
    """
    from fer_edge.edge.sources.stream import is_pipeline

    assert isinstance(root.command, click.Group)
    settings(config, root.command, ["run"])
    table: dict[str, Any] = read(config).get("run", {})
    source = str(table.get("source", ""))
    known = options(find_command(root, ["run"]).command)
    has_output = any(isinstance(option, Option) and option.network for key, option in known.items() if key in table)
    return has_output or "://" in source or is_pipeline(source)


def owner() -> str:
    """The user who called, also through sudo."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name


def _program_folders() -> tuple[Path, ...]:
    """The folders of the interpreter and of the package."""
    interpreter = Path(os.path.realpath(sys.executable)).parent.parent
    return tuple(outermost([Path(sys.prefix), Path(sys.base_prefix), interpreter, FOLDER.parent.resolve()]))


def _check_readable(paths: tuple[Path, ...]) -> None:
    """ServiceError where another user could not read these folders; homes on the way are mapped by the unit."""
    for path in paths:
        for folder in (path, *path.parents):
            if str(folder) in HIDDEN or folder.parent == Path("/home"):
                break
            if not folder.stat().st_mode & stat.S_IXOTH:
                why = "other users cannot enter it, and the service's user is one"
                raise ServiceError(f"{folder}: {why}; chmod o+rx it, or give --run-as {owner()}")


def _checked_account(name: str | None) -> str | None:
    if name is not None:
        try:
            pwd.getpwnam(name)
        except KeyError:
            raise ServiceError(f"--run-as {name}: there is no such user") from None
    return name


def _writable_folder(path: Path, root: Path) -> Path:
    folder = root / path.relative_to("/")
    if not folder.is_dir():
        raise ServiceError(f"--write {folder}: there is no such folder; make it, writable for the service's user")
    return path
