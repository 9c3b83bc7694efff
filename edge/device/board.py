"""A board's temperature and its firmware's throttling, read from /sys or from `vcgencmd`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

THROTTLE_BITS = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
"""Bits of `vcgencmd get_throttled`, https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""

THROTTLED_FILE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
"""Raspberry Pi's kernel has the same bits in this file, in hexadecimal without 0x; soc@107c000000 on a Pi 5."""

SOC_ZONE = re.compile(r"(cpu|soc)\d*[-_]thermal")
"""Name of a system on a chip's thermal zone in device trees; a PC's is acpitz or x86_pkg_temp."""


def read_text(path: Path) -> str | None:
    """Read a small file of /proc or /sys, stripped; None where it cannot be read or is empty."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def read_celsius(root: Path = Path("/")) -> float | None:
    """Read the temperature of the first thermal zone.

    Args:
        root: The folder that has /sys.

    Returns:
        Degrees Celsius; None where there is no thermal zone.
    """
    text = read_text(root / "sys/class/thermal/thermal_zone0/temp")
    return round(int(text) / 1000, 1) if text and text.lstrip("-").isdigit() else None


def is_small_board(root: Path = Path("/")) -> bool:
    """Whether this is a small board, which slows down from 80 °C; a laptop's processor may run at 95."""
    zone_type = read_text(root / "sys/class/thermal/thermal_zone0/type") or ""
    return SOC_ZONE.fullmatch(zone_type) is not None or read_throttling(root) is not None


def read_throttling(root: Path = Path("/")) -> list[str] | None:
    """Read how the firmware throttles the board.

    Args:
        root: The folder that has /sys.

    Returns:
        The values of THROTTLE_BITS that are set, in bit order; None where the firmware does not report them.
    """
    file = next(root.glob(THROTTLED_FILE), None)
    text = read_text(file) if file else None
    return parse_throttling(f"throttled=0x{text}" if text else command_output("vcgencmd", "get_throttled"))


def parse_throttling(text: str | None) -> list[str] | None:
    """Parse `throttled=0x50005` into words, in bit order; None where there is no such text."""
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", text or "")
    if not match:
        return None
    bits = int(match[1], 16)
    return [words for bit, words in THROTTLE_BITS.items() if bits >> bit & 1]


def command_output(*command: str) -> str | None:
    """Run a short command.

    Args:
        *command: The program and its arguments.

    Returns:
        Its standard output, stripped; None where it is missing, fails, or takes more than 10 s.
    """
    if shutil.which(command[0]) is None:
        return None
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()
