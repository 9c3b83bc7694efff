"""What a board says of its own condition: temperature, and what its firmware holds back."""

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
"""`vcgencmd get_throttled`, https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""

THROTTLED_FILE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
"""The same bits where Raspberry Pi's kernel has a file of them, in hexadecimal without 0x; soc@107c000000 on a Pi 5."""

SOC_ZONE = re.compile(r"(cpu|soc)\d*[-_]thermal")
"""What device trees call the thermal zone of a system on a chip; a PC's is acpitz or x86_pkg_temp."""


def read_text(path: Path) -> str | None:
    """A small file of /proc or /sys, stripped; None where it cannot be read or is empty."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def celsius(root: Path = Path("/")) -> float | None:
    """The first thermal zone's temperature in °C; None where there is none."""
    text = read_text(root / "sys/class/thermal/thermal_zone0/temp")
    return round(int(text) / 1000, 1) if text and text.lstrip("-").isdigit() else None


def small(root: Path = Path("/")) -> bool:
    """Whether this is a small board, which slows down from 80 °C: a laptop's processor is well at 95."""
    kind = read_text(root / "sys/class/thermal/thermal_zone0/type") or ""
    return SOC_ZONE.fullmatch(kind) is not None or throttling(root) is not None


def throttling(root: Path = Path("/")) -> list[str] | None:
    """What the firmware holds back or held back, in words, in bit order; None where it cannot be asked."""
    file = next(root.glob(THROTTLED_FILE), None)
    text = read_text(file) if file else None
    return throttled(f"throttled=0x{text}" if text else output("vcgencmd", "get_throttled"))


def throttled(answer: str | None) -> list[str] | None:
    """`throttled=0x50005` as words, in bit order; None where there is no answer."""
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", answer or "")
    if not found:
        return None
    bits = int(found[1], 16)
    return [words for bit, words in THROTTLE_BITS.items() if bits >> bit & 1]


def output(*command: str) -> str | None:
    """What a short command prints; None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
