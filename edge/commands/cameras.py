"""`fer-edge cameras`: which cameras there are, what they can, and what to type for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from fer_edge.edge.config.click_options import json_option
from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.devices import Device, list_devices
from fer_edge.edge.sources.picamera import error_text, import_picamera2
from fer_edge.edge.sources.v4l2 import Format, Size

NONE = """\
no camera was found.
A USB camera shows up in /dev as soon as it is plugged in; `lsusb` must list it.
A Raspberry Pi's camera module needs picamera2 (docs/cameras.md), and `rpicam-hello --list-cameras` must list it."""


@dataclass(frozen=True)
class Camera:
    """use: what to type. kind: camera (V4L2) or libcamera. stable: what to type that outlives a restart."""

    use: str
    name: str
    kind: str
    where: str
    stable: tuple[str, ...]
    trouble: str | None
    formats: tuple[Format, ...]


@click.command()
@json_option("Print one JSON object instead of text.")
def cameras(as_json: bool) -> None:
    """List the cameras with their formats, and what to type for each."""
    nodes = list_devices()
    found, others = [_v4l2(node) for node in nodes if _filming(node)], [node for node in nodes if not _filming(node)]
    missing = None
    try:
        found += _libcamera()
    except SourceError as error:
        missing = str(error)
    if as_json:
        told = [{"path": node.path, "name": node.name, "kind": node.kind} for node in others]
        click.echo(json.dumps({"cameras": [asdict(each) for each in found], "others": told}))
        return
    for each in found:
        click.echo("\n".join(_lines(each)))
    if others:
        click.echo(f"no cameras: {', '.join(f'{node.path} ({node.kind}, {node.name})' for node in others)}")
    if not found:
        click.echo(NONE)
    if missing:
        click.echo(f"libcamera was not asked: {missing}", err=True)


def _filming(node: Device) -> bool:
    """A camera, or what could be one if it answered."""
    return node.kind in ("camera", "unknown")


def _v4l2(node: Device) -> Camera:
    use = f"--camera {node.path.removeprefix('/dev/video')}"
    stable = tuple(f"--camera {link}" for link in node.links)
    where = ", ".join(part for part in (node.path, node.driver, node.bus) if part)
    return Camera(use, node.name, node.kind, where, stable, node.problem, node.formats)


def _libcamera() -> Iterator[Camera]:
    picamera2 = import_picamera2().Picamera2
    for number, told in enumerate(picamera2.global_camera_info()):
        formats: tuple[Format, ...] = ()
        trouble = None
        try:
            formats = _modes(picamera2, number)
        except Exception as error:  # another program has it
            trouble = error_text(error)
        use = f"--camera picamera2:{number}"
        where = ", ".join((told["Id"], f"rotated {told['Rotation']}") if told.get("Rotation") else (told["Id"],))
        yield Camera(use, told["Model"], "libcamera", where, (), trouble, formats)


def _modes(picamera2: Any, number: int) -> tuple[Format, ...]:
    """The sensor's modes; a picture of any size up to theirs can be asked for."""
    with picamera2(number) as camera:
        modes = [mode for mode in camera.sensor_modes if "size" in mode]
    grouped: dict[str, list[Size]] = {}
    for mode in modes:
        grouped.setdefault(str(mode["format"]), []).append(
            Size(mode["size"][0], mode["size"][1], (float(mode["fps"]),))
        )
    return tuple(Format(code, "sensor mode", False, tuple(sizes)) for code, sizes in grouped.items())


def _lines(camera: Camera) -> Iterator[str]:
    yield f"{click.style(camera.use, bold=True)}  {camera.name} ({camera.where})"
    for stable in camera.stable:
        yield f"  or {stable}"
    if camera.trouble:
        yield f"  {camera.trouble}"
    for each in camera.formats:
        sizes = ", ".join(_size(size) for size in each.sizes)
        yield f"  {each.code}{' (compressed)' if each.compressed else ''}: {sizes or 'sizes unknown'}"


def _size(size: Size) -> str:
    least = f"{size.smallest[0]}x{size.smallest[1]} to " if size.smallest else ""
    rate = f" at {size.rates[0]:g}" if size.rates else ""
    return f"{least}{size.width}x{size.height}{rate}"
