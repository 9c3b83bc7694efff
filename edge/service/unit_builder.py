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
from fer_edge.edge.service.run_settings import Access, check_settings, check_writable
from fer_edge.edge.service.systemd_unit import CONFIG, HIDDEN, Unit, outermost
from fer_edge.models import FOLDER


def config_in_use(manager: ServiceManager, root: click.Context) -> Path | None:
    """The configuration file that the service shall read.

    Args:
        manager: The service manager.
        root: The context of the group of all commands, which knows --config.

    Returns:
        The file in use: that of --config, else on this machine the first at its usual paths, and below another root
        the one at its usual path; None where there is none.

    Raises:
        ServiceError: Its name holds a line break, or it would have to replace another one below the root.
    """
    chosen, usual = root.params["config"], manager.config_path
    path = find(chosen) if manager.is_here or chosen is not None else usual if usual.is_file() else None
    if path is None:
        return None
    path = path.resolve()
    if "\n" in str(path):
        raise ServiceError(f"{str(path)!r} holds a line break, which a unit cannot have; rename it")
    if is_elsewhere(path, manager) and usual.exists() and path.is_file() and usual.read_bytes() != path.read_bytes():
        raise ServiceError(f"{usual} is there already and differs from {path}; remove one of them, or give the other")
    return path


def is_elsewhere(config: Path, manager: ServiceManager) -> bool:
    """Whether the file lies outside of the service's root, so that it has to be copied to its usual path there."""
    return not config.is_relative_to(manager.root)


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
        ServiceError: A user or folder is missing, or the service could not read its program, or not do what the file
            asks for.
    """
    account = _checked_account(None if manager.user else choices.run_as)
    writable = tuple(_writable_folder(path.resolve(), manager.root) for path in choices.write)
    access = Access(manager.user, account, writable, manager.root)
    for folder in writable:
        check_writable(folder, access)
    network, files = choices.network, tuple[Path, ...]()
    if config is not None:  # also checks the file: a service that cannot start is of no use
        needs = needs_network(config, root)
        network = needs if network is None else network
        files = check_file(config, access, root)
    programs = _program_folders()
    inside = manager.config_path if config is None or is_elsewhere(config, manager) else config
    unit = Unit(
        command=(sys.executable, "-P", "-m", "fer_edge.edge.cli", "--config", CONFIG, "run"),
        config=Path("/") / inside.relative_to(manager.root),
        needed=(*programs, *files),
        writable=writable,
        account=account,
        network=bool(network),
        version=systemd_version(),
        user=manager.user,
    )
    if not manager.user and account is None:
        _check_readable(programs)
    return unit


def check_file(config: Path, access: Access, root: click.Context) -> tuple[Path, ...]:
    """Check that a service can do what a file asks for, see `check_settings`.

    Args:
        config: The file.
        access: What the service may do.
        root: The context of the group of all commands.

    Returns:
        The files and folders that it reads.

    Raises:
        ConfigError: As `run_table`.
        ServiceError: As `check_settings`.
    """
    return check_settings(run_table(config, root), _run_options(root), access)


def run_table(config: Path, root: click.Context) -> dict[str, Any]:
    """The table [run] of a file, checked.

    Args:
        config: The file.
        root: The context of the group of all commands.

    Returns:
        Its values by key.

    Raises:
        ConfigError: The file cannot be read, or its table [run] is wrong.
    """
    assert isinstance(root.command, click.Group)
    settings(config, root.command, ["run"])
    table: dict[str, Any] = read(config).get("run", {})
    return table


def needs_network(config: Path, root: click.Context) -> bool:
    """Whether a run with this configuration file may need a network: for its outputs, or for its source.

    A GStreamer pipeline may listen or connect though no address stands in it: udpsrc, an element with a peer.

    Args:
        config: The file.
        root: The context of the group of all commands.

    Returns:
        Whether it may.

    Raises:
        ConfigError: As `run_table`.
    """
    from fer_edge.edge.sources.stream import is_pipeline

    table, known = run_table(config, root), _run_options(root)
    source = str(table.get("source", ""))
    has_output = any(isinstance(option, Option) and option.network for key, option in known.items() if key in table)
    return has_output or "://" in source or is_pipeline(source)


def _run_options(root: click.Context) -> dict[str, click.Option]:
    return options(find_command(root, ["run"]).command)


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
