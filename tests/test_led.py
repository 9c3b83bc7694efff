"""The LED example on gpiozero's mock pins, with JSON lines of `fer-edge run` as input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import RGBLED, Device
from gpiozero.pins.mock import MockFactory, MockPWMPin
from predictions import CLASSES, at, face

from examples import EXAMPLES, example
from fer_edge.edge.sinks.jsonl import JsonlSink

led = example("led")


@pytest.fixture
def light() -> Iterator[RGBLED]:
    before, Device.pin_factory = Device.pin_factory, MockFactory(pin_class=MockPWMPin)
    with RGBLED(*led.PINS) as device:
        yield device
    Device.pin_factory.reset()
    Device.pin_factory = before


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """A small happy face beside a large face of each emotion in turn, then no face."""
    sink = JsonlSink(str(tmp_path / "out.jsonl"))
    for emotion in CLASSES:
        sink.show(at(0), [face("happy"), face(emotion, 2, width=90)])
    sink.show(at(1), [])
    sink.close()
    return (tmp_path / "out.jsonl").read_text().splitlines(keepends=True)


def test_the_led_has_each_emotions_colour(light: RGBLED, lines: list[str]) -> None:
    colours = []

    def recording() -> Iterator[str]:
        for line in lines:
            yield line
            colours.append(tuple(Device.pin_factory.pin(number).state for number in led.PINS))

    led.follow(recording(), light)
    assert colours == [*map(led.colour, lines)]
    assert len(set(colours)) == len(CLASSES) + 1


def test_the_led_is_off_at_the_end(light: RGBLED, lines: list[str]) -> None:
    led.follow(lines[:1], light)
    assert light.color == led.DARK


def test_the_script_runs_until_its_input_ends(lines: list[str]) -> None:
    environment = os.environ | {"GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
    command = [sys.executable, str(EXAMPLES / "led.py"), "--pins", "5", "6", "13"]
    done = subprocess.run(command, input="".join(lines), capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
