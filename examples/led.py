"""An RGB LED on a Raspberry Pi that glows in the colour of the largest face's emotion, dark while nobody is there.

fer-edge run --show none --jsonl - | python examples/led.py

Common cathode, through a resistor each: red on GPIO 17, green on GPIO 27, blue on GPIO 22. Needs gpiozero, which
Raspberry Pi OS has (python3-gpiozero); GPIOZERO_PIN_FACTORY=mock GPIOZERO_MOCK_PIN_CLASS=mockpwmpin tries it elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import suppress

from gpiozero import RGBLED

PINS = (17, 27, 22)  # red, green, blue
DARK = (0.0, 0.0, 0.0)
COLOURS = {  # red, green, blue, 0..1
    "angry": (1.0, 0.0, 0.0),
    "disgust": (0.3, 0.8, 0.0),
    "fear": (0.6, 0.0, 0.8),
    "happy": (1.0, 0.7, 0.0),
    "sad": (0.0, 0.2, 1.0),
    "surprise": (1.0, 0.3, 0.0),
    "neutral": (0.2, 0.2, 0.2),
}


def colour(line: str) -> tuple[float, float, float]:
    """What one line of `fer-edge run --jsonl` looks like."""
    faces = json.loads(line)["faces"]
    if not faces:
        return DARK
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return COLOURS[largest["emotion"]]


def follow(lines: Iterable[str], led: RGBLED) -> None:
    """Show each line as it comes, and end dark."""
    for line in lines:
        led.color = colour(line)
    led.off()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fer-edge run --show none --jsonl - | python examples/led.py")
    parser.add_argument("--pins", type=int, nargs=3, default=PINS, metavar="GPIO", help="red, green and blue")
    options = parser.parse_args()
    with RGBLED(*options.pins) as led, suppress(KeyboardInterrupt):
        follow(sys.stdin, led)
