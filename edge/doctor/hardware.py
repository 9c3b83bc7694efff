"""Checks of temperature, power, memory, disk, clock and display."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from fer_edge.edge.device.board import is_small_board, read_celsius, read_text, read_throttling
from fer_edge.edge.device.host_info import system_name
from fer_edge.edge.device.thermal import THROTTLE_CELSIUS
from fer_edge.edge.doctor import anchors
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine, run_python

MIB = 1 << 20

MEMORY_FAIL, MEMORY_WARN = 100, 250
"""MiB of available memory below which a run fails, or may: it takes about 150 without a window."""

DISK_FAIL, DISK_WARN = 50, 500
"""MiB of disk below which nothing can be written, or not for long."""

UNKNOWN = CheckResult(OK, "unknown: not reported on this machine")


def board(machine: Machine) -> CheckResult:
    """The board and its operating system."""
    return CheckResult(OK, f"{machine.board or 'a PC or a virtual machine'}, {system_name(machine.root)}")


def temperature(machine: Machine) -> CheckResult:
    """The board is cool enough to keep its clock rate."""
    degrees = read_celsius(machine.root)
    if degrees is None:
        return UNKNOWN
    if degrees >= THROTTLE_CELSIUS[0] and is_small_board(machine.root):
        advice = "add a heat sink or a fan, or use --model mobilenet_v2"
        return CheckResult(WARN, f"{degrees:.0f} °C", advice, anchors.SLOWER)
    return CheckResult(OK, f"{degrees:.0f} °C")


def throttling(machine: Machine) -> CheckResult:
    """The firmware does not throttle the board because of its temperature."""
    states = read_throttling(machine.root)
    if states is None:
        return UNKNOWN
    thermal = [state for state in states if not state.startswith("under-voltage")]
    if thermal:
        return CheckResult(WARN, ", ".join(thermal), "add a heat sink or a fan", anchors.SLOWER)
    return CheckResult(OK, "none since boot")


def power(machine: Machine) -> CheckResult:
    """The power supply is strong enough."""
    states = read_throttling(machine.root)
    if states is None:
        return UNKNOWN
    low = [state for state in states if state.startswith("under-voltage")]
    if low:
        advice = "use the board's own power supply and a short, thick cable"
        return CheckResult(WARN, ", ".join(low), advice, anchors.POWER)
    return CheckResult(OK, "no under-voltage since boot")


def memory(machine: Machine) -> CheckResult:
    """There is memory for the models, OpenCV and some frames."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", read_text(machine.root / "proc/meminfo") or "", re.MULTILINE)
    if not match:
        return UNKNOWN
    free = int(match[1]) // 1024
    status = FAIL if free < MEMORY_FAIL else WARN if free < MEMORY_WARN else OK
    if status == OK:
        return CheckResult(OK, f"{free} MiB available")
    advice = "end other programs, use --model mobilenet_v2, or run without a desktop"
    return CheckResult(status, f"{free} MiB available", advice, anchors.MEMORY)


def disk(machine: Machine) -> CheckResult:
    """There is room for outputs in the working folder."""
    folder = Path.cwd() if machine.root == Path("/") else machine.root
    free = shutil.disk_usage(folder).free // MIB
    status = FAIL if free < DISK_FAIL else WARN if free < DISK_WARN else OK
    if status == OK:
        return CheckResult(OK, f"{free} MiB free in {folder}")
    advice = "delete something, or write to another disk"
    return CheckResult(status, f"{free} MiB free in {folder}", advice, anchors.DISK)


def governor(machine: Machine) -> CheckResult:
    """The clock rate may rise; `powersave` is the lowest rate, but not with Intel's and AMD's own drivers."""
    folder = machine.root / "sys/devices/system/cpu/cpu0/cpufreq"
    name, driver = read_text(folder / "scaling_governor"), read_text(folder / "scaling_driver") or ""
    if name == "powersave" and "pstate" not in driver:
        advice = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return CheckResult(WARN, f"governor {name}: the lowest clock rate", advice, anchors.SLOW)
    return CheckResult(OK, f"governor {name}") if name else UNKNOWN


def display(machine: Machine) -> CheckResult:
    """A window can be opened where there is a display."""
    screen = machine.environ.get("DISPLAY") or machine.environ.get("WAYLAND_DISPLAY")
    if not screen:
        where = "over SSH" if "SSH_CONNECTION" in machine.environ else "on this machine"
        return CheckResult(OK, f"none {where}: 'fer-edge run' prints text instead of opening a window")
    code = "from fer_edge.edge.sinks.window import window_problem; print(window_problem() or '')"
    process = run_python(machine, "-c", code)
    problem = process.reason if process.exit_code else process.stdout
    if problem:
        anchor = anchors.NO_WINDOW if "headless" in problem else anchors.QT
        return CheckResult(WARN, problem, "use --show text, or --save-video", anchor)
    return CheckResult(OK, f"a window can be opened on {screen}")
