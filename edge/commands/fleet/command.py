"""`fer-edge fleet`: list, show and watch the devices at an MQTT broker, and change their settings."""

from __future__ import annotations

import click

from fer_edge.edge.commands.fleet.options import FleetOptions
from fer_edge.edge.config.click_options import Option, json_option, options_from
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
