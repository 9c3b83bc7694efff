"""Seconds of an epoch of `fer-edge train` on TensorFlow and on JAX, with one device and with two."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.options import result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import track

SETUPS = {
    "tensorflow": ("tensorflow", 0, 1),
    "jax": ("jax", 0, 1),
    "distributed": ("jax", 1, 1),
    "devices": ("jax", 2, 1),
    "processes": ("jax", 1, 2),
}
"""By name: Keras' backend, devices of each process (0: without --distributed) and processes."""

RECIPE = ("--weights", "none", "--warmup-epochs", 0, "--top-epochs", 0, "--stop-patience", 1000)
CLASSES = 7


@click.command(cls=RecordedCommand)
@click.option("--network", default="mobilenet_v2", type=click.Choice(MODEL_NAMES), help="The network.")
@click.option("--pictures", type=IntRange(64), default=1024, metavar="N", help="Pictures of random pixels in an epoch.")
@click.option(
    "--epochs", type=IntRange(2), default=6, metavar="N", help="Epochs; the first, which compiles, does not count."
)
@click.option(
    "--setup",
    "setups",
    cls=Option,
    type=click.Choice([*SETUPS]),
    multiple=True,
    default=[*SETUPS],
    help="What to measure: TensorFlow; JAX as Keras runs it; and --distributed on one device, on two, and in two "
    "processes. Repeatable.",
)
@result_file
def training(network: str, pictures: int, epochs: int, setups: tuple[str, ...], out: Path | None) -> None:
    """Measure an epoch of `fer-edge train` with two of Keras' backends, on one device and on two.

    Each set-up is a training from random weights, at the network's own size and with the recipe's batch size,
    augmentation and the validation of an eighth as many pictures included. On a CPU two devices are simulated, which
    share its cores as two processes do. What cannot run here, for want of a package or a second GPU, is left out.
    """
    before = condition()
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as name:
        data = _write_data(Path(name) / "faces.csv", pictures)
        words = [network, "--data", data, *RECIPE, "--full-epochs", epochs]
        for setup in track(setups, "set-ups", len(setups)):
            try:
                seconds = _epochs(setup, [str(word) for word in words], Path(name) / setup)[1:]
            except ResultError as error:
                click.echo(f"{setup} is left out: {error}", err=True)
                continue
            backend, devices, processes = SETUPS[setup]
            about = {"setup": setup, "backend": backend, "devices": max(1, devices) * processes, "processes": processes}
            rows.append({**about, "epoch_seconds": summary(seconds), "seconds": seconds})
    if not rows:
        raise ResultError("nothing could be measured; install TensorFlow or JAX")
    versions = {name: version(name) for name in ("keras", "tensorflow", "jax") if find_spec(name)}
    body = {
        "network": network,
        "pictures": pictures,
        "versions": versions,
        "before": before,
        "after": condition(),
        "rows": rows,
    }
    path = write("training", body, out)
    for row in rows:
        ratio = row["epoch_seconds"]["p50"] / rows[0]["epoch_seconds"]["p50"]
        click.echo(
            f"{row['setup']:12} {row['epoch_seconds']['p50']:7.1f} s an epoch, {ratio:.2f} times {rows[0]['setup']}"
        )
    click.echo(f"wrote {path}", err=True)


def _write_data(path: Path, pictures: int) -> Path:
    """A CSV of faces of random pixels: the time does not depend on what they show."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for usage, count in (("Training", pictures), ("PublicTest", pictures // 8)):
            for index in range(count):
                pixels = rng.integers(0, 256, FACE_SIZE * FACE_SIZE)
                file.write(f"{index % CLASSES},{' '.join(map(str, pixels))},{usage}\n")
    return path


def _epochs(setup: str, words: list[str], runs: Path) -> list[float]:
    """The seconds of each epoch of a training; ResultError where it fails."""
    backend, devices, processes = SETUPS[setup]
    command = [sys.executable, "-m", "fer_edge.edge.cli", "train", *words, "--runs", str(runs)]
    command += ["--distributed", "--devices", str(devices)] if devices else []
    if processes > 1:
        command += ["--coordinator", f"127.0.0.1:{_free_port()}", "--processes", str(processes), "--process-id"]
    started = []
    for process in range(processes):
        environment = {**os.environ, "KERAS_BACKEND": backend}
        if processes > 1:
            environment["CUDA_VISIBLE_DEVICES"] = str(process)
        own = [*command, str(process)] if processes > 1 else command
        output = subprocess.DEVNULL
        started.append(subprocess.Popen(own, stdout=output, stderr=subprocess.PIPE, text=True, env=environment))
    messages = [each.communicate()[1] for each in started]
    for each, message in zip(started, messages, strict=True):
        if each.returncode:
            raise ResultError((message.strip().splitlines() or ["no message"])[-1].removeprefix("fer-edge: "))
    (history,) = runs.glob("*/history.csv")
    with history.open() as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
