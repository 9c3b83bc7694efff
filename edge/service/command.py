"""`fer-edge service`: the camera at every start of the machine, restarted when it hangs, under systemd."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.file import NAME, find, read
from fer_edge.edge.config.tables import settings
from fer_edge.edge.device.board import command_output
from fer_edge.edge.errors import ConfigError, ServiceError, SinkError
from fer_edge.edge.files import write_bytes
from fer_edge.edge.service import systemd_unit as unit
from fer_edge.edge.service.systemctl import enabled, reachable, systemctl, version
from fer_edge.models import FOLDER

NETWORKED = ("web", "mqtt", "on")
"""Options of `run` that need a network: a page, a broker, and commands that may do anything. A source may, too."""

LOG_LINES = 5


@click.group()
def service() -> None:
    """Run fer-edge at boot as a systemd service."""


def _where(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which installation is meant."""
    command = click.option(
        "--root",
        type=click.Path(path_type=Path, resolve_path=True),
        default=Path("/"),
        help="Another system's root: a mounted card.",
    )(command)
    return click.option("--user/--system", default=False, help="Your own service manager's, or the machine's.")(command)


@service.command()
@_where
@click.option(
    "--run-as", metavar="USER", cls=Option, example="pi", help="Run as this user [default: a dynamic one, systemd's]."
)
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    multiple=True,
    cls=Option,
    example=["/srv/faces"],
    help="A folder it may write to. Repeatable.",
)
@click.option(
    "--network/--no-network",
    default=None,
    cls=Option,
    example=True,
    help="Allow the network [default: if the file may need it].",
)
@click.option("--start/--no-start", default=True, help="Start it now, too.")
@click.option("--dry-run", is_flag=True, help="Print the unit and write nothing.")
@click.pass_context
def install(
    context: click.Context,
    user: bool,
    root: Path,
    run_as: str | None,
    write: tuple[Path, ...],
    network: bool | None,
    start: bool,
    dry_run: bool,
) -> None:
    """Write a unit that runs `fer-edge run` with the configuration file, and start it."""
    top = context.find_root()
    place, config = _unit_place(user, root), _config_place(user, root)
    found = find(top.params["config"]) if root == Path("/") else config if config.is_file() else None
    config = found.resolve() if found and root == Path("/") else config
    if "\n" in str(config):
        raise ServiceError(f"{str(config)!r} holds a line break, which a unit cannot; rename it")
    needs = _needs_network(config, top) if found else False
    account = None if user else run_as
    made = unit.Unit(
        command=(sys.executable, "-P", "-m", "fer_edge.edge.cli", "--config", unit.CONFIG, "run"),
        config=Path("/") / config.relative_to(root),
        needed=_needed(),
        writable=tuple(_checked_folder(path.resolve(), root) for path in write),
        account=_checked_account(account),
        network=needs if network is None else network,
        version=version(),
        user=user,
    )
    if not user and account is None:
        _check_readable(made.needed)
    if dry_run:
        click.echo(made.text(), nl=False)
        return
    systemctl(user, root, "--version")  # nothing is written where it is missing
    _write(place, made.text(), user)
    if not found:
        from fer_edge.edge.config.example import example_file

        _write(config, example_file(top, ["run"]), user)
    click.echo(f"unit: {place}")
    click.echo(f"config: {config}; after a change: {_shown(user, 'restart')}")
    click.echo(f"network: {'allowed' if made.network else 'none, as nothing in the file needs it'}")
    click.echo(_enable(user, root, start))


@service.command()
@_where
@click.pass_context
def status(context: click.Context, /, user: bool, root: Path) -> None:
    """Tell what is installed, configured, enabled and active, and its last words; exit code 1 where nothing is."""
    place = _unit_place(user, root)
    installed = place.is_file()
    click.echo(f"installed: {place if installed else 'no; install it with fer-edge service install'}")
    if not installed:
        raise SystemExit(1)
    click.echo(f"configuration: {_configuration(place.read_text('utf-8'), root, context.find_root())}")
    click.echo(f"enabled: {enabled(user, root, unit.NAME)}")
    if root != Path("/") or not reachable(user):
        click.echo("active: unknown, as systemd cannot be reached here")
        return
    shown = systemctl(user, root, "show", "--property=ActiveState,SubState,StatusText,NRestarts", unit.NAME)
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    told = f"{state.get('ActiveState')} ({state.get('SubState')}), {state.get('NRestarts')} restarts"
    click.echo(f"active: {told}{', ' if state.get('StatusText') else ''}{state.get('StatusText', '')}")
    which = "--user-unit" if user else "--unit"
    log = command_output(
        "journalctl", which, unit.NAME, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso"
    )
    for line in (log or "no journal can be read").splitlines():
        click.echo(f"log: {line}")


@service.command()
@_where
def uninstall(user: bool, root: Path) -> None:
    """Stop the service and remove its unit; configuration and what it wrote stay."""
    place = _unit_place(user, root)
    if not place.is_file():
        raise ServiceError(f"{place} is not there; nothing is installed{'' if user else ' (or take --user)'}")
    if not os.access(place.parent, os.W_OK):
        raise ServiceError(f"{place} cannot be removed by this user; run it as root: {_as_root('uninstall')}")
    systemctl(user, root, "disable", unit.NAME)
    running = root == Path("/") and reachable(user)
    if running:
        systemctl(user, root, "stop", unit.NAME)
    place.unlink()
    if running:
        systemctl(user, root, "daemon-reload")
    click.echo(f"removed: {place}")


def _enable(user: bool, root: Path, start: bool) -> str:
    """Enable the unit, start it where that is wanted and possible, and tell in a line what became of it."""
    here = root == Path("/")
    if here and reachable(user):
        systemctl(user, root, "daemon-reload")
    systemctl(user, root, "enable", unit.NAME)
    at = "you log in; 'loginctl enable-linger' makes that at boot" if user else "the machine boots"
    if not start or not here:
        return f"not started; it will be when {at}"
    if not reachable(user):
        return f"systemd cannot be reached here, so it was not started; it will be when {at}"
    systemctl(user, root, "restart", "--no-block", unit.NAME)  # a start ends with the first frame, or never
    return f"starting, as it will when {at}. 'fer-edge service status{' --user' if user else ''}' tells how it goes"


def _unit_place(user: bool, root: Path) -> Path:
    return (_user_config(root) / "systemd/user" if user else root / "etc/systemd/system") / unit.NAME


def _config_place(user: bool, root: Path) -> Path:
    return (_user_config(root) if user else root / "etc") / "fer-edge" / NAME


def _user_config(root: Path) -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return root / folder.lstrip("/")


def _needs_network(config: Path, top: click.Context) -> bool:
    """Whether the file's [run] may; ConfigError where the file is wrong: a service that cannot start helps nobody.

    A GStreamer pipeline may listen or connect though no address stands in it: udpsrc, an element with a peer.
    """
    from fer_edge.edge.sources.stream import is_pipeline

    assert isinstance(top.command, click.Group)
    settings(config, top.command, ["run"])
    table: dict[str, Any] = read(config).get("run", {})
    source = str(table.get("source", ""))
    return any(name in table for name in NETWORKED) or "://" in source or is_pipeline(source)


def _configuration(text: str, root: Path, top: click.Context) -> str:
    """The file that a unit was written for, and whether it is still right and gets the network that it asks for."""
    path = root / text.split(unit.CONFIGURED)[-1].splitlines()[0].lstrip("/")
    try:
        needs = _needs_network(path, top)
    except ConfigError as error:
        return str(error)
    if needs and "AF_INET" not in text:
        return f"{path} asks for a network, which the unit does not allow; install it again"
    return str(path)


def _needed() -> tuple[Path, ...]:
    """The interpreter's folders and the package's."""
    real = Path(os.path.realpath(sys.executable)).parent.parent
    return tuple(unit.outermost([Path(sys.prefix), Path(sys.base_prefix), real, FOLDER.parent.resolve()]))


def _check_readable(paths: tuple[Path, ...]) -> None:
    """ServiceError where a user of its own could not read what it is made of; homes on the way do not matter."""
    for path in paths:
        for folder in (path, *path.parents):
            if str(folder) in unit.HIDDEN or folder.parent == Path("/home"):
                break
            if not folder.stat().st_mode & stat.S_IXOTH:
                raise ServiceError(f"{folder} may not be entered by others; chmod o+rx it, or take --run-as {_owner()}")


def _owner() -> str:
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name


def _checked_account(name: str | None) -> str | None:
    if name is not None:
        try:
            pwd.getpwnam(name)
        except KeyError:
            raise ServiceError(f"--run-as {name}: there is no such user") from None
    return name


def _checked_folder(path: Path, root: Path) -> Path:
    there = root / path.relative_to("/")
    if not there.is_dir():
        raise ServiceError(f"--write {there}: there is no such folder; make it, writable for the service's user")
    return path


def _write(path: Path, text: str, user: bool) -> None:
    try:
        write_bytes(path, text.encode())
    except SinkError as error:
        if user or os.getuid() == 0:
            raise
        raise ServiceError(f"{error}; run it as root, or take --user: {_as_root('install')}") from None


def _as_root(word: str) -> str:
    return f"sudo {sys.executable} -m fer_edge.edge.cli service {word}"


def _shown(user: bool, word: str) -> str:
    return f"systemctl --user {word} fer-edge" if user else f"sudo systemctl {word} fer-edge"
