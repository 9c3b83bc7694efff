"""Checks of cameras that reconnect under another number, with udev's links; tests/device/debian.sh runs them.

Two cameras of the kernel's `vivid`. A rule gives udev for each what it reads from a USB camera's descriptors; Debian's
own rules make the links from that. A number that a process still has open is not reused, so the camera gets the next.
"""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

from device_checks import check, end, fer_edge, source_messages, wait_until

from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.devices import processes_using

DRIVER = Path("/sys/bus/platform/drivers/vivid")
RULES = Path("/run/udev/rules.d/59-serial.rules")
SERIALS = {"vivid-000-vid-cap": "Maker_Camera_0001", "vivid-001-vid-cap": "Maker_Camera_0002"}
OURS, TWIN = (Path(f"/dev/v4l/by-id/usb-{serial}-video-index0") for serial in SERIALS.values())


def prepare() -> None:
    RULES.parent.mkdir(parents=True, exist_ok=True)
    RULES.write_text(
        "".join(
            f'SUBSYSTEM=="video4linux", ATTR{{name}}=="{name}", ENV{{ID_BUS}}="usb", ENV{{ID_SERIAL}}="{serial}"\n'
            for name, serial in SERIALS.items()
        )
    )
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    subprocess.run(["modprobe", "vivid", "n_devs=2", "node_types=0x20001,0x20001"], check=True)
    check("udev made a link by serial number for each", wait_until(lambda: OURS.exists() and TWIN.exists()))
    process = fer_edge("cameras")
    check("they are listed with their links", all(f"  or --camera {link}" in process.stdout for link in (OURS, TWIN)))


def unplug() -> None:
    (DRIVER / "unbind").write_text("vivid.0")
    check("unplugged, udev removes the links", wait_until(lambda: not OURS.exists() and not TWIN.exists()))


def plug_in() -> None:
    (DRIVER / "bind").write_text("vivid.0")
    check("plugged in, the links are back", wait_until(lambda: OURS.exists() and TWIN.exists()))


def check_returning(camera: str) -> None:
    """Unplug it and plug it in again, under another number."""
    before = os.path.realpath(OURS)
    messages = source_messages()
    with open_source(camera=camera) as source:
        frames = iter(source)
        received = [next(frames) for _ in range(3)]
        descriptor = os.open(before, os.O_RDWR)
        unplug()
        check("disconnected", wait_until(lambda: source.disconnected > 0))
        plug_in()
        received += [next(frames) for _ in range(3)]
        after = os.path.realpath(OURS)
        print(f"{before}, now {after}; the other: {os.path.realpath(TWIN)}")
        check(f"{camera} has another number", before != after)
        check(
            "it is captured from again, and not the other",
            bool(processes_using(after)) and not processes_using(str(TWIN)),
        )
        check("indices and times rise", all(b.index > a.index and b.time > a.time for a, b in pairwise(received)))
    os.close(descriptor)
    print("\n".join(messages))
    check("it was logged", [line.split()[1] for line in messages] == ["lost:", "back"])
    check("closed", wait_until(lambda: not processes_using(after)))


if __name__ == "__main__":
    prepare()
    check_returning(str(OURS))
    check_returning(os.path.realpath(OURS))
    subprocess.run(["modprobe", "--remove", "vivid"], check=True)
    end()
