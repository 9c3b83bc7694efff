"""`fer-edge service`: `fer-edge run` at every boot under systemd, restarted when it fails or hangs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.config.exposure import exposed_secret
from fer_edge.edge.device.board import command_output
from fer_edge.edge.errors import ConfigError, ServiceError, SinkError
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.service import unit_builder
from fer_edge.edge.service.manager import ServiceManager
from fer_edge.edge.service.options import InstallOptions
from fer_edge.edge.service.run_settings import Access, check_video_group
from fer_edge.edge.service.systemd_unit import CONFIGURED, NAME

LOG_LINES = 5
"""Lines of the journal that `status` prints."""


@click.group()
def service() -> None:
    """Run fer-edge at boot as a systemd service."""


def manager_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose a service manager, passed to the command as `manager`."""

    @wraps(command)
    def with_manager(*args: Any, user: bool, root: Path, **values: Any) -> None:
        command(*args, manager=ServiceManager(user, root), **values)

    add_root = click.option(
        "--root",
        cls=Option,
        metavar="DIR",
        type=click.Path(path_type=Path, resolve_path=True),
        default=Path("/"),
        help="Root folder of another system, such as a mounted SD card.",
    )
    add_user = click.option(
        "--user/--system", cls=Option, default=False, help="Take your own service manager, or the system's."
    )
    return add_user(add_root(with_manager))


@service.command()
@manager_options
@options_from(InstallOptions)
@click.pass_context
def install(context: click.Context, manager: ServiceManager, install_options: InstallOptions) -> None:
    """Install and start a service that runs 'fer-edge run'.

    It reads the configuration file in use; where there is none, one is written in which every option is a comment. One
    from outside of --root is copied.
    """
    top = context.find_root()
    config = unit_builder.config_in_use(manager, top)
    unit = unit_builder.build_unit(manager, install_options, config, top)
    if install_options.dry_run:
        click.echo(unit.text(), nl=False)
        return
    manager.systemctl("--version")  # nothing is written where it is missing
    _write(manager.unit_path, unit.text().encode(), manager)
    if config is None:
        from fer_edge.edge.config.example import example_file

        config = manager.config_path
        _write(config, example_file(top, ["run"]).encode(), manager, private=True)
    elif unit_builder.is_elsewhere(config, manager):
        _write(manager.config_path, config.read_bytes(), manager, private=True)
        config = manager.config_path
    click.echo(f"unit: {manager.unit_path}")
    click.echo(f"config: {config}; after a change: {manager.restart_command}")
    click.echo(f"network: {'allowed' if unit.network else 'not allowed, as nothing in the file needs it'}")
    for warning in (check_video_group(manager.user), exposed_secret(config, top)):
        if warning is not None:
            click.echo(f"warning: {warning}")
    click.echo(_enable(manager, install_options.start))


@service.command()
@manager_options
@click.pass_context
def status(context: click.Context, manager: ServiceManager) -> None:
    """Print the service's state and its newest log lines.

    That is whether it is installed, configured, enabled and active. The exit code is 1 where it is not installed.
    """
    unit = manager.unit_path
    is_installed = unit.is_file()
    click.echo(f"installed: {unit if is_installed else 'no; install it with fer-edge service install'}")
    if not is_installed:
        raise SystemExit(1)
    click.echo(f"configuration: {_configuration(unit.read_text('utf-8'), manager, context.find_root())}")
    click.echo(f"enabled: {manager.enabled_state()}")
    if not manager.is_reachable():
        click.echo("active: unknown, as systemd cannot be reached here")
        return
    text = manager.systemctl("show", "--property=ActiveState,SubState,StatusText,NRestarts", NAME)
    state = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    summary = f"{state.get('ActiveState')} ({state.get('SubState')}), {state.get('NRestarts')} restarts"
    click.echo(f"active: {summary}{', ' if state.get('StatusText') else ''}{state.get('StatusText', '')}")
    which = "--user-unit" if manager.user else "--unit"
    log = command_output("journalctl", which, NAME, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso")
    for line in (log or "the journal cannot be read").splitlines():
        click.echo(f"log: {line}")


@service.command()
@manager_options
def uninstall(manager: ServiceManager) -> None:
    """Stop the service and remove its unit.

    The configuration file and the outputs stay.
    """
    unit = manager.unit_path
    if not unit.is_file():
        raise ServiceError(f"{unit} is missing: nothing is installed{'' if manager.user else ', or give --user'}")
    if not os.access(unit.parent, os.W_OK):
        raise ServiceError(f"{unit} cannot be removed by this user; run as root: {_as_root('uninstall')}")
    manager.systemctl("disable", NAME)
    is_reachable = manager.is_reachable()
    if is_reachable:
        manager.systemctl("stop", NAME)
    unit.unlink()
    if is_reachable:
        manager.systemctl("daemon-reload")
    click.echo(f"removed: {unit}")


def _enable(manager: ServiceManager, start: bool) -> str:
    """Enable the service, start it where possible unless --no-start, and describe the outcome in one line."""
    if manager.is_reachable():
        manager.systemctl("daemon-reload")
    manager.systemctl("enable", NAME)
    when = "you log in; 'loginctl enable-linger' starts it at boot" if manager.user else "the machine boots"
    if not start or not manager.is_here:
        return f"not started; it starts when {when}"
    if not manager.is_reachable():
        return f"not started, as systemd cannot be reached here; it starts when {when}"
    manager.systemctl("restart", "--no-block", NAME)  # a start ends with the first frame, or never
    status_command = f"fer-edge service status{' --user' if manager.user else ''}"
    return f"starting now, and when {when}; '{status_command}' shows the state"


def _configuration(text: str, manager: ServiceManager, top: click.Context) -> str:
    """The file that a unit was written for, or what is wrong with it, or that it needs a network the unit lacks."""
    path = manager.root / text.split(CONFIGURED)[-1].splitlines()[0].lstrip("/")
    try:
        needs = unit_builder.needs_network(path, top)
        unit_builder.check_file(path, Access(user=True), top)  # the rest would need the options of its installation
    except (ConfigError, ServiceError) as error:
        return str(error)
    if needs and "AF_INET" not in text:
        return f"{path} needs a network, which the unit does not allow; install the service again"
    return str(path)


def _write(path: Path, content: bytes, manager: ServiceManager, private: bool = False) -> None:
    try:
        write_bytes(path, content, private)
    except SinkError as error:
        if manager.user or os.getuid() == 0:
            raise
        raise ServiceError(f"{error}; run as root, or give --user: {_as_root('install')}") from None


def _as_root(word: str) -> str:
    return f"sudo {sys.executable} -m fer_edge.edge.cli service {word}"
