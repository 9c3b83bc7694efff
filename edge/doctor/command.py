"""`fer-edge doctor`: every question asked, a line for each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import click

from fer_edge.edge.config.click_options import json_option
from fer_edge.edge.doctor import FAIL, OK, WARN, Finding, Here, anchors, cameras, examine, machine, software
from fer_edge.edge.terminal import colorize

COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}

QUESTIONS: dict[str, Callable[[Here], Finding]] = {
    "board": machine.board,
    "python": software.python,
    "environment": software.environment,
    "runtime": software.runtime,
    "numpy": software.numpy,
    "opencv": software.opencv,
    "opencv packages": software.opencv_packages,
    "tensorflow": software.tensorflow,
    "models": software.models,
    "inference": software.inference,
    "configuration": software.config,
    "cameras": cameras.cameras,
    "camera access": cameras.camera_access,
    "camera use": cameras.camera_use,
    "camera number": cameras.camera_number,
    "libcamera": cameras.libcamera,
    "display": machine.display,
    "temperature": machine.temperature,
    "throttled": machine.throttled,
    "power": machine.power,
    "memory": machine.memory,
    "disk": machine.disk,
    "clock": machine.governor,
}


@click.command()
@json_option("Print one JSON array instead of lines.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Find what is wrong on this device, and what to do about it.

    Each check prints a line that starts with ok, warn or fail.

    The exit code is 1 where a check fails, else 0; a warning is not a failure.
    """
    here = Here(config=context.find_root().params.get("config"))
    findings = {}
    for name, question in QUESTIONS.items():
        findings[name] = examine(question, here)
        if not as_json:
            click.echo(told(name, findings[name]))
    if as_json:
        click.echo(json.dumps([{"question": name, **asdict(found)} for name, found in findings.items()], indent=2))
    if any(found.status == FAIL for found in findings.values()):
        raise SystemExit(1)


def told(name: str, found: Finding) -> str:
    """A finding as a line, and a second one with what to do."""
    status = colorize(f"{found.status:4}", COLOURS[found.status], sys.stdout)
    line = f"{status}  {name:15}  {found.found}"
    if found.status == OK or not found.advice:
        return line
    more = f" ({anchors.NAME}#{found.answer})" if found.answer else ""
    return f"{line}\n{'':21}  → {found.advice}{more}"
