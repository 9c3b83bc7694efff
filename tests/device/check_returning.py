"""Cameras that come back under another number, with udev and its lasting names; tests/device/debian.sh runs it.

Two cameras of the kernel's `vivid`. A rule tells udev of each what it reads from a USB camera's descriptors; Debian's
own rules make the links from that. A number that somebody still has open is not given anew, so that the next one is.
"""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path

from checking import check, end, fer_edge, reports, waited

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
    check("udev made a link by serial number for each", waited(lambda: OURS.exists() and TWIN.exists()))
    done = fer_edge("cameras")
    check("they are listed as what to type", all(f"  or --camera {link}" in done.stdout for link in (OURS, TWIN)))


def unplug() -> None:
    (DRIVER / "unbind").write_text("vivid.0")
    check("unplugged, udev takes the links away", waited(lambda: not OURS.exists() and not TWIN.exists()))


def plug_in() -> None:
    (DRIVER / "bind").write_text("vivid.0")
    check("plugged in, the links are back", waited(lambda: OURS.exists() and TWIN.exists()))


def returning(camera: str) -> None:
    """Unplugged and plugged in again, as another number."""
    before = os.path.realpath(OURS)
    told = reports()
    with open_source(camera=camera) as source:
        frames = iter(source)
        seen = [next(frames) for _ in range(3)]
        taken = os.open(before, os.O_RDWR)
        unplug()
        check("away", waited(lambda: source.disconnected > 0))
        plug_in()
        seen += [next(frames) for _ in range(3)]
        after = os.path.realpath(OURS)
        print(f"{before}, now {after}; the other: {os.path.realpath(TWIN)}")
        check(f"{camera} has another number", before != after)
        check(
            "it is filmed with again, and not the other",
            bool(processes_using(after)) and not processes_using(str(TWIN)),
        )
        check("numbers and times rise", all(b.index > a.index and b.time > a.time for a, b in pairwise(seen)))
    os.close(taken)
    print("\n".join(told))
    check("it was told", [line.split()[1] for line in told] == ["lost:", "back"])
    check("closed", waited(lambda: not processes_using(after)))


if __name__ == "__main__":
    prepare()
    returning(str(OURS))
    returning(os.path.realpath(OURS))
    subprocess.run(["modprobe", "--remove", "vivid"], check=True)
    end()
