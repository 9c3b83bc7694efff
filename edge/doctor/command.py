"""`fer-edge doctor`: every check, a line for each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import click

from fer_edge.edge.config.click_options import json_option
from fer_edge.edge.doctor import anchors, cameras, hardware, software
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine, run_check
from fer_edge.edge.terminal import colorize

COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}

CHECKS: dict[str, Callable[[Machine], CheckResult]] = {
    "board": hardware.board,
    "fer-edge": software.fer_edge,
    "python": software.python,
    "environment": software.environment,
    "runtime": software.runtime,
    "numpy": software.numpy,
    "opencv": software.opencv,
    "opencv packages": software.opencv_packages,
    "tensorflow": software.tensorflow,
    "models": software.models,
    "inference": software.inference,
    "accelerators": software.accelerators,
    "configuration": software.config,
    "cameras": cameras.cameras,
    "camera access": cameras.camera_access,
    "camera use": cameras.camera_use,
    "camera number": cameras.camera_number,
    "libcamera": cameras.libcamera,
    "display": hardware.display,
    "temperature": hardware.temperature,
    "throttling": hardware.throttling,
    "power": hardware.power,
    "memory": hardware.memory,
    "disk": hardware.disk,
    "clock": hardware.governor,
}


@click.command()
@json_option("Print one JSON array instead of lines.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Find what is wrong on this device, and what to do about it.

    Each check prints a line that starts with ok, warn or fail. The exit code is 1 where a check fails, else 0.
    """
    machine = Machine(config=context.find_root().params.get("config"))
    results = {}
    for name, check in CHECKS.items():
        results[name] = run_check(check, machine)
        if not as_json:
            click.echo(result_lines(name, results[name]))
    if as_json:
        click.echo(json.dumps([{"check": name, **asdict(result)} for name, result in results.items()], indent=2))
    if any(result.status == FAIL for result in results.values()):
        raise SystemExit(1)


def result_lines(name: str, result: CheckResult) -> str:
    """A check's result as a line, and a second one with what to do."""
    status = colorize(f"{result.status:4}", COLOURS[result.status], sys.stdout)
    line = f"{status}  {name:15}  {result.message}"
    if result.status == OK or not result.advice:
        return line
    more = f" ({anchors.PAGE}#{result.anchor})" if result.anchor else ""
    return f"{line}\n{'':21}  → {result.advice}{more}"
