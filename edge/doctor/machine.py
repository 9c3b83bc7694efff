"""Heat, power, memory, disk, clock and screen."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from fer_edge.edge.device.board import is_small_board, read_celsius, read_text, read_throttling
from fer_edge.edge.device.host_info import system_name
from fer_edge.edge.device.thermal import THROTTLE_CELSIUS
from fer_edge.edge.doctor import FAIL, OK, WARN, Finding, Here, anchors, ask

MIB = 1 << 20

SCARCE, FEW = 100, 250
"""MiB of memory below which it fails or may: `run` takes about 150 without a window."""

FULL, NARROW = 50, 500
"""MiB of disk below which nothing can be written, or not for long."""


def board(here: Here) -> Finding:
    """What this is."""
    return Finding(OK, f"{here.board or 'a PC or a virtual machine'}, {system_name(here.root)}")


def temperature(here: Here) -> Finding:
    """Cool enough to keep its clock."""
    degrees = read_celsius(here.root)
    if degrees is None:
        return Finding(OK, "cannot be read here")
    if degrees >= THROTTLE_CELSIUS[0] and is_small_board(here.root):
        advice = "add a heat sink or a fan, or take --model mobilenet_v2"
        return Finding(WARN, f"{degrees:.0f} °C", advice, anchors.SLOWER)
    return Finding(OK, f"{degrees:.0f} °C")


def throttled(here: Here) -> Finding:
    """The firmware does not hold the clock back for heat."""
    words = read_throttling(here.root)
    if words is None:
        return Finding(OK, "cannot be read here")
    hot = [word for word in words if not word.startswith("under-voltage")]
    if hot:
        advice = "add a heat sink or a fan"
        return Finding(WARN, ", ".join(hot), advice, anchors.SLOWER)
    return Finding(OK, "no")


def power(here: Here) -> Finding:
    """The power supply is strong enough."""
    words = read_throttling(here.root)
    if words is None:
        return Finding(OK, "cannot be read here")
    low = [word for word in words if word.startswith("under-voltage")]
    if low:
        advice = "use the board's own power supply and a short, thick cable"
        return Finding(WARN, ", ".join(low), advice, anchors.POWER)
    return Finding(OK, "no under-voltage since boot")


def memory(here: Here) -> Finding:
    """Room for the networks, OpenCV and a frame or two."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", read_text(here.root / "proc/meminfo") or "", re.MULTILINE)
    if not found:
        return Finding(OK, "cannot be read here")
    free = int(found[1]) // 1024
    status = FAIL if free < SCARCE else WARN if free < FEW else OK
    if status == OK:
        return Finding(OK, f"{free} MiB available")
    advice = "end other programs, take --model mobilenet_v2, or run without a desktop"
    return Finding(status, f"{free} MiB available", advice, anchors.MEMORY)


def disk(here: Here) -> Finding:
    """Room for what is written into the working folder."""
    folder = Path.cwd() if here.root == Path("/") else here.root
    free = shutil.disk_usage(folder).free // MIB
    status = FAIL if free < FULL else WARN if free < NARROW else OK
    if status == OK:
        return Finding(OK, f"{free} MiB free in {folder}")
    return Finding(status, f"{free} MiB free in {folder}", "remove something, or write elsewhere", anchors.DISK)


def governor(here: Here) -> Finding:
    """The clock may rise; `powersave` means the lowest one, but on Intel's and AMD's own drivers it does not."""
    folder = here.root / "sys/devices/system/cpu/cpu0/cpufreq"
    name, driver = read_text(folder / "scaling_governor"), read_text(folder / "scaling_driver") or ""
    if name == "powersave" and "pstate" not in driver:
        advice = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return Finding(WARN, f"{name}: the lowest clock", advice, anchors.SLOW)
    return Finding(OK, name or "cannot be read here")


def display(here: Here) -> Finding:
    """A window can be opened, or none is asked for."""
    screen = here.environ.get("DISPLAY") or here.environ.get("WAYLAND_DISPLAY")
    if not screen:
        where = "over SSH" if "SSH_CONNECTION" in here.environ else "here"
        return Finding(OK, f"none {where}: 'fer-edge run' prints text instead of opening a window")
    answer = ask(here, "-c", "from fer_edge.edge.sinks.window import window_problem as t; print(t() or '')")
    trouble = answer.reason if answer.code else answer.out
    if trouble:
        anchor = anchors.QT
        if "headless" in trouble:
            anchor = anchors.NO_WINDOW
        return Finding(WARN, trouble, "take --show text, or --save-video", anchor)
    return Finding(OK, f"windows open on {screen}")
