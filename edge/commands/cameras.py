"""`fer-edge cameras`: the cameras with their formats, and the option that opens each."""

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
from fer_edge.edge.terminal import one_line

NO_CAMERA = """\
no camera was found.
A USB camera shows up in /dev as soon as it is plugged in; `lsusb` must list it.
A Raspberry Pi's camera module needs picamera2 (docs/cameras.md), and `rpicam-hello --list-cameras` must list it."""


@dataclass(frozen=True)
class Camera:
    """A camera in the list.

    Attributes:
        use: The option that opens it, such as "--camera 0".
        name: The model's name.
        kind: camera (V4L2), libcamera, or unknown where the node cannot be opened.
        where: Node, driver and bus, or libcamera's identifier.
        stable: Options that open it after a restart too, though its number may be another.
        problem: Why it cannot be opened now, in one line.
        formats: Pixel formats with their frame sizes and rates.
    """

    use: str
    name: str
    kind: str
    where: str
    stable: tuple[str, ...]
    problem: str | None
    formats: tuple[Format, ...]


@click.command()
@json_option("Print one JSON object instead of text.")
def cameras(as_json: bool) -> None:
    """List the cameras and the option that opens each.

    Below each camera stand its names that outlive a restart, and its pixel formats with frame sizes and rates.
    """
    nodes = list_devices()
    listed = [_v4l2(node) for node in nodes if _may_be_camera(node)]
    others = [node for node in nodes if not _may_be_camera(node)]
    missing = None
    try:
        listed += _libcamera()
    except SourceError as error:
        missing = str(error)
    if as_json:
        records = [{"path": node.path, "name": node.name, "kind": node.kind} for node in others]
        click.echo(json.dumps({"cameras": [asdict(each) for each in listed], "others": records}))
        return
    for each in listed:
        click.echo("\n".join(_lines(each)))
    if others:
        text = ", ".join(f"{node.path} ({node.kind}, {node.name})" for node in others)
        click.echo(f"not cameras: {one_line(text)}")
    if not listed:
        click.echo(NO_CAMERA)
    if missing:
        click.echo(f"libcamera's cameras are not listed: {missing}", err=True)


def _may_be_camera(node: Device) -> bool:
    """A camera, or a node that cannot be opened and might be one."""
    return node.kind in ("camera", "unknown")


def _v4l2(node: Device) -> Camera:
    use = f"--camera {node.path.removeprefix('/dev/video')}"
    stable = tuple(f"--camera {link}" for link in node.links)
    where = ", ".join(part for part in (node.path, node.driver, node.bus) if part)
    return Camera(use, node.name, node.kind, where, stable, node.problem, node.formats)


def _libcamera() -> Iterator[Camera]:
    picamera2 = import_picamera2().Picamera2
    for number, info in enumerate(picamera2.global_camera_info()):
        formats: tuple[Format, ...] = ()
        problem = None
        try:
            formats = _modes(picamera2, number)
        except Exception as error:  # another program has it
            problem = error_text(error)
        use = f"--camera picamera2:{number}"
        where = ", ".join((info["Id"], f"rotated {info['Rotation']}") if info.get("Rotation") else (info["Id"],))
        yield Camera(use, info["Model"], "libcamera", where, (), problem, formats)


def _modes(picamera2: Any, number: int) -> tuple[Format, ...]:
    """The sensor's modes; any frame size up to theirs can be requested."""
    with picamera2(number) as camera:
        modes = [mode for mode in camera.sensor_modes if "size" in mode]
    grouped: dict[str, list[Size]] = {}
    for mode in modes:
        grouped.setdefault(str(mode["format"]), []).append(
            Size(mode["size"][0], mode["size"][1], (float(mode["fps"]),))
        )
    return tuple(Format(code, "sensor mode", False, tuple(sizes)) for code, sizes in grouped.items())


def _lines(camera: Camera) -> Iterator[str]:
    yield f"{click.style(camera.use, bold=True)}  {one_line(f'{camera.name} ({camera.where})')}"
    for stable in camera.stable:
        yield f"  or {stable}"
    if camera.problem:
        yield f"  {one_line(camera.problem)}"
    for each in camera.formats:
        sizes = ", ".join(_size(size) for size in each.sizes)
        yield f"  {each.code}{' (compressed)' if each.compressed else ''}: {sizes or 'sizes unknown'}"


def _size(size: Size) -> str:
    smallest = f"{size.smallest[0]}x{size.smallest[1]} to " if size.smallest else ""
    rate = f" at {size.rates[0]:g}" if size.rates else ""
    return f"{smallest}{size.width}x{size.height}{rate}"
