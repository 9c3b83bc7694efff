"""A fleet as it changes: a table on a terminal, else a line for each change."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from fer_edge.edge.commands.fleet.client import FleetClient
from fer_edge.edge.commands.fleet.devices import QUIET, READ_LIMIT, SUBSCRIBED, Fleet
from fer_edge.edge.commands.fleet.text import setting, status, table
from fer_edge.edge.files.documents import json_text
from fer_edge.edge.terminal import ERASE, is_interactive

log = logging.getLogger(__name__)

REDRAW_INTERVAL = 0.5
"""Seconds between two drawings of the table, at least."""

LINE_END = "\n"


def watch_fleet(client: FleetClient, as_json: bool) -> Iterator[str]:
    """The fleet and its changes, without an end.

    Args:
        client: The connection.
        as_json: Whether each change is the device as a line of JSON.

    Yields:
        Text to print, at least once a second; '' where nothing has changed.
    """
    fleet = Fleet()
    client.subscribe("+", SUBSCRIBED)
    messages = client.retained_messages(QUIET, READ_LIMIT)
    devices = {device.name for message in messages if (device := fleet.update(message)) is not None}
    if is_interactive(sys.stdout) and not as_json:
        yield from _drawings(client, fleet)
    shown: dict[str, dict[str, str]] = {}
    connected = True
    while True:
        yield "".join(_changes(fleet, name, shown.setdefault(name, {}), as_json) for name in sorted(devices))
        message = client.next_message(1.0)
        changed = fleet.update(message) if message else None
        devices = {changed.name} if changed else set()
        if client.connected is not connected:
            connected = client.connected
            log.info("%s: %s", client.url, "connected" if connected else "connection lost; reconnecting")


def _changes(fleet: Fleet, name: str, shown: dict[str, str], as_json: bool) -> str:
    """A line about what is not as it was shown; '' where nothing is."""
    device = fleet.device(name)
    if device is None:
        return ""
    record = device.record()
    parts = _parts(record)
    changes = [text for part, text in parts.items() if text and shown.get(part) != text]
    shown.update(parts)
    if not changes:
        return ""
    return f"{json_text(record) if as_json else f'{_now():%Y-%m-%d %H:%M:%S}  {name}  ' + ', '.join(changes)}\n"


def _parts(record: dict[str, Any]) -> dict[str, str]:
    """What is watched of a device, in words."""
    return {
        "status": status(record),
        "version": f"version {record['version']}" if record["version"] else "",
        "model": f"model {record['model']} {(record['model_sha256'] or '')[:12]}" if record["model"] else "",
        "source": record["source"] or "",
        **{key: f"{key} {setting(value)}" for key, value in record["settings"].items() if key != "recognition"},
    }


def _drawings(client: FleetClient, fleet: Fleet) -> Iterator[str]:
    """The table again and again, from the terminal's top left corner."""
    yield "\x1b[2J"
    drawn_at = -REDRAW_INTERVAL
    while True:
        if monotonic() - drawn_at >= REDRAW_INTERVAL:
            drawn_at = monotonic()
            yield f"\x1b[H{''.join(f'{line}{ERASE}{LINE_END}' for line in _screen(client, fleet))}\x1b[J"
        if (message := client.next_message(REDRAW_INTERVAL)) is not None:
            fleet.update(message)


def _screen(client: FleetClient, fleet: Fleet) -> list[str]:
    """The lines that the terminal has room for."""
    width, height = shutil.get_terminal_size()
    note = "" if client.connected else " (connection lost; reconnecting)"
    lines = [f"{client.url}{note}  {_now():%H:%M:%S} UTC, Ctrl-C ends", *table(fleet.devices)]
    if len(lines) > height - 1:
        lines = [*lines[: height - 2], f"… {len(lines) - height + 2} more"]
    return [line[: width - 1] for line in lines]


def _now() -> datetime:
    return datetime.now(UTC)
