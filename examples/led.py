"""Light an RGB LED on a Raspberry Pi in the colour of the largest face's emotion; off while there is no face.

fer-edge run --show none --jsonl - | python examples/led.py

Common cathode, one resistor per colour: red on GPIO 17, green on GPIO 27, blue on GPIO 22. Needs gpiozero, which
Raspberry Pi OS includes (python3-gpiozero); to try it elsewhere, set GPIOZERO_PIN_FACTORY=mock and
GPIOZERO_MOCK_PIN_CLASS=mockpwmpin.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import suppress

from gpiozero import RGBLED

import fer_edge

PINS = (17, 27, 22)  # red, green, blue
DARK = (0.0, 0.0, 0.0)


def colour(line: str) -> tuple[float, float, float]:
    """The LED's colour (red, green, blue, 0 to 1) for one line of `fer-edge run --jsonl`."""
    faces = json.loads(line)["faces"]
    if not faces:
        return DARK
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    blue, green, red = fer_edge.class_colours(list(largest["scores"]))[largest["emotion"]]
    return _linear(red), _linear(green), _linear(blue)


def _linear(value: int) -> float:
    """A screen has a gamma of about 2.2; an LED is linear in its current."""
    return float((value / 255) ** 2.2)


def follow(lines: Iterable[str], led: RGBLED) -> None:
    """Show each line's colour as it arrives; switch the LED off at the end."""
    for line in lines:
        led.color = colour(line)
    led.off()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fer-edge run --show none --jsonl - | python examples/led.py")
    parser.add_argument("--pins", type=int, nargs=3, default=PINS, metavar="GPIO", help="red, green and blue")
    options = parser.parse_args()
    with RGBLED(*options.pins) as led, suppress(KeyboardInterrupt):
        follow(sys.stdin, led)
