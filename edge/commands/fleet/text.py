"""Devices of a fleet as text for people: a table, and all about one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fer_edge.edge.commands.fleet.devices import FleetDevice
from fer_edge.edge.errors import printable, shortened

Record = dict[str, Any]

COLUMNS = ("NAME", "STATUS", "VERSION", "MODEL", "FRAMES/S", "TEMPERATURE", "LAST SEEN (UTC)", "SOURCE")

NUMBERS = ("FRAMES/S", "TEMPERATURE")
"""Columns that are aligned to the right."""


def table(devices: Sequence[FleetDevice]) -> list[str]:
    """A line per device under a heading.

    Args:
        devices: The devices, in the order of the lines.

    Returns:
        The lines.
    """
    rows = [COLUMNS, *(_row(device.record()) for device in devices)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = [name in NUMBERS for name in COLUMNS]
    return [
        "  ".join(
            each.rjust(width) if number else each.ljust(width)
            for each, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in rows
    ]


def details(device: FleetDevice) -> Iterator[str]:
    """All about a device, a line each.

    Args:
        device: The device.

    Yields:
        Lines such as "model     ensemble".
    """
    record = device.record()
    fields = {
        "status": status(record),
        "last seen": _time(record["last_seen"]),
        "started": _time(record["started"]),
        "version": record["version"],
        "model": record["model"],
        "sha256": record["model_sha256"],
        "source": record["source"],
        "frames/s": _frames(record),
        "temperature": _temperature(record),
        "throttling": ", ".join(record["throttling"]) or None,
        "load level": record["load_level"],
        "faces": record["faces"],
        "page": record["page"],
        "settings": ", ".join(f"{key} {setting(value)}" for key, value in record["settings"].items())
        or "cannot be changed (run with --mqtt-control)",
    }
    width = max(map(len, fields))
    for name, value in fields.items():
        if value not in (None, ""):
            yield f"{name:{width}}  {shortened(value, 300)}"


def status(record: Record) -> str:
    """A device's status in words: `online`, `offline`, or what keeps it from its work.

    Args:
        record: As `FleetDevice.record` makes it.

    Returns:
        One line.
    """
    if not record["online"]:
        return "offline"
    if record["disconnected"]:
        return f"camera disconnected: {shortened(record['disconnect_reason'] or 'unknown', 80)}"
    if not record["recognition"]:
        return "recognition off"
    if record["throttling"] or record["load_level"]:
        return f"throttled (level {record['load_level'] or 0:g})"
    return "online"


def setting(value: object) -> str:
    """A setting's value in words: on, off, or a number."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else shortened(value)


def _row(record: Record) -> tuple[str, ...]:
    words = status(record).partition(":")[0]
    cells = (record["name"], words, record["version"], record["model"], _frames(record), _temperature(record))
    return tuple(shortened(cell or "–", 40) for cell in (*cells, _time(record["last_seen"]), record["source"]))


def _frames(record: Record) -> str | None:
    return None if record["fps"] is None or not record["online"] else f"{record['fps']:.1f}"


def _temperature(record: Record) -> str | None:
    return None if record["celsius"] is None else f"{record['celsius']:.0f} °C"


def _time(text: str | None) -> str | None:
    """An ISO 8601 time of a device, to the second."""
    return None if text is None else printable(text[:19].replace("T", " "))
