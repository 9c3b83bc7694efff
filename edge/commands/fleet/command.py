"""`fer-edge fleet`: list, show and watch the devices at an MQTT broker, and change their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from fer_edge.edge.commands.fleet.options import FleetOptions
from fer_edge.edge.config.click_options import Option, json_option, options_from
from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.errors import FleetError
from fer_edge.edge.files.documents import json_text


@click.group()
def fleet() -> None:
    """List, show and watch the devices at an MQTT broker, and change their settings."""


@fleet.command("list")
@options_from(FleetOptions)
@json_option("Print one JSON array instead of a table.")
@click.option("--prometheus", cls=Option, is_flag=True, help="Print the devices' pages as targets for file_sd.")
def list_devices(fleet_options: FleetOptions, as_json: bool, prometheus: bool) -> None:
    """List the devices that publish with --mqtt, online and offline.

    The broker has their last state, with the time at which they were last seen.
    """
    from fer_edge.edge.commands.fleet.client import FleetClient
    from fer_edge.edge.commands.fleet.devices import read_fleet

    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus exclude each other")
    with FleetClient(fleet_options) as client:
        devices = read_fleet(client).devices
    if prometheus:
        from fer_edge.edge.commands.fleet.prometheus import targets

        groups, local = targets(devices)
        click.echo(json_text(groups, indent=2))
        if local:
            why = "their pages listen on 127.0.0.1; start them with --web 0.0.0.0:8080"
            click.echo(f"left out: {', '.join(local)}: {why}", err=True)
    elif as_json:
        click.echo(json_text([device.record() for device in devices], indent=2))
    else:
        from fer_edge.edge.commands.fleet.text import table

        click.echo("\n".join(table(devices)))


@fleet.command()
@click.argument("name")
@options_from(FleetOptions)
@json_option("Print one JSON object instead of text.")
def show(name: str, fleet_options: FleetOptions, as_json: bool) -> None:
    """Print all about one device: its state, versions and settings."""
    from fer_edge.edge.commands.fleet.client import FleetClient
    from fer_edge.edge.commands.fleet.devices import read_fleet
    from fer_edge.edge.commands.fleet.text import details
    from fer_edge.edge.sinks.mqtt.broker_url import checked_name

    checked_name(name, "NAME")
    with FleetClient(fleet_options) as client:
        (device,) = read_fleet(client, name).devices
    click.echo(json_text(device.record(), indent=2) if as_json else "\n".join(details(device)))


@fleet.command()
@options_from(FleetOptions)
@json_option("Print a line of JSON for each change.")
def watch(fleet_options: FleetOptions, as_json: bool) -> None:
    """Print the devices and their changes until Ctrl-C.

    A terminal shows the table of 'fleet list'; a pipe or file gets a line for each device that comes, goes or changes
    its status, version, model, source or settings.
    """
    from fer_edge.edge.commands.fleet.client import FleetClient
    from fer_edge.edge.commands.fleet.watch import watch_fleet
    from fer_edge.edge.commands.signals import GracefulShutdown

    with FleetClient(fleet_options) as client, GracefulShutdown() as shutdown:
        for text in shutdown.results_until_signal(watch_fleet(client, as_json)):
            click.echo(text, nl=False)


@fleet.command("set")
@click.argument("words", nargs=-1, metavar="[NAME]... KEY [VALUE]")
@click.option("--all", "to_all", cls=Option, is_flag=True, help="Change it at every device that lets it be changed.")
@click.option("--unset", cls=Option, is_flag=True, help="Go back to the value of the device's start; without VALUE.")
@click.option(
    "--timeout",
    cls=Option,
    type=FloatRange(0),
    default=10.0,
    metavar="SECONDS",
    help="Seconds to wait for the devices' answers.",
)
@options_from(FleetOptions)
@json_option("Print one JSON object, a name and an outcome each, instead of text.")
def set_setting(
    words: tuple[str, ...], to_all: bool, unset: bool, timeout: float, fleet_options: FleetOptions, as_json: bool
) -> None:
    """Change a setting of devices that run with --mqtt-control, and wait for their answers.

    KEY VALUE is recognition on or off, hold SECONDS, cooldown SECONDS, detect-every FRAMES or smooth SECONDS, as the
    options of 'run'. The broker keeps the setting, and the device has it after a restart, too. The exit code is 2
    unless all have accepted it.
    """
    names, key, text = _split(words, to_all, unset)

    from fer_edge.edge.commands.fleet.changes import change_setting, known_setting, parse_value
    from fer_edge.edge.commands.fleet.client import FleetClient
    from fer_edge.edge.commands.fleet.devices import read_fleet
    from fer_edge.edge.sinks.mqtt.broker_url import checked_name

    names = [checked_name(name, "NAME") for name in dict.fromkeys(names)]
    known_setting(key)
    value = None if text is None else parse_value(key, text)
    with FleetClient(fleet_options) as client:
        fleet = read_fleet(client, names[0] if len(names) == 1 else "+")
        if to_all:
            names = [device.name for device in fleet.devices if key in device.control]
            if not names:
                raise FleetError(f"no device at {client.url} lets {key} be changed; start them with --mqtt-control")
        outcomes = change_setting(client, fleet, names, key, value, timeout)
    if as_json:
        click.echo(json_text({name: asdict(outcomes[name]) for name in names}, indent=2))
    elif len(names) > 1 or all(each.accepted for each in outcomes.values()):
        width = max(map(len, names))
        click.echo("\n".join(f"{name:{width}}  {outcomes[name].text}" for name in names))
    failed = [name for name in names if not outcomes[name].accepted]
    if len(names) > 1 and failed:
        raise FleetError(f"{len(failed)} of {len(names)} devices have not accepted {key}")
    if failed:
        raise FleetError(f"{names[0]}: {outcomes[names[0]].text}")


def _split(words: Sequence[str], to_all: bool, unset: bool) -> tuple[list[str], str, str | None]:
    """Names, key and value of a command line; raises UsageError."""
    expected = 1 if unset else 2
    names, rest = list(words[: len(words) - expected]), words[max(0, len(words) - expected) :]
    if len(rest) < expected or bool(names) is to_all:
        what = "KEY" if unset else "KEY VALUE"
        raise click.UsageError(f"expected {'' if to_all else 'NAME… '}{what}{', without names' if to_all else ''}")
    return names, rest[0], None if unset else rest[1]
