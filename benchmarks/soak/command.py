"""`fer-edge bench soak`: a run with all outputs on, whose camera and broker die, for so many frames."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from fer_edge.benchmarks.broker_process import MOSQUITTO, broker_words, free_port
from fer_edge.benchmarks.options import figure_file, result_file
from fer_edge.benchmarks.page_process import PageProcess, open_page
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, write
from fer_edge.benchmarks.soak.camera import write_pictures
from fer_edge.benchmarks.soak.figure import curves
from fer_edge.benchmarks.soak.findings import Finding, findings
from fer_edge.benchmarks.soak.mortal_process import mortal
from fer_edge.benchmarks.soak.sample import Sample, percentile, take_sample
from fer_edge.benchmarks.soak.viewers import reconnecting_viewers
from fer_edge.edge.config.click_types import FloatRange, IntRange
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.terminal import progress_bar

OUTPUTS = ("--rotate-mb", "1", "--rotate-keep", "2", "--snapshot-keep", "20", "--on", "happy", "true")
SEGMENTS = ("--save-video-segment", "1")
KEPT_SEGMENTS = 3
"""Newest recordings that are kept; older ones are deleted while the run goes on, as a timer would."""

EVENTS = ("--hold", "0.1", "--cooldown", "0.5")
"""Events begin about once a second, as faces come and go that often."""

RECORDINGS = "recordings"

COLUMNS = ("seconds", "frames", "resident_mib", "descriptors", "threads")
"""What a row of the result has of a sample."""


@click.command(cls=RecordedCommand)
@click.option("--frames", type=IntRange(1), default=1_000_000, metavar="N", help="Frames to process.")
@click.option("--rate", type=FloatRange(1), default=400.0, metavar="FPS", help="Frames per second of the camera.")
@click.option("--viewers", type=IntRange(0), default=4, metavar="N", help="Viewers of the live page.")
@click.option(
    "--life",
    type=FloatRange(min=0.1),
    default=60.0,
    metavar="SECONDS",
    help="Mean time after which the camera and the broker are killed, each by itself.",
)
@click.option("--sample", type=FloatRange(min=0.1), default=10.0, metavar="SECONDS", help="Time between two samples.")
@figure_file
@result_file
def soak(
    frames: int, rate: float, viewers: int, life: float, sample: float, plot: Path | None, out: Path | None
) -> None:
    """Run `fer-edge run` for a million frames with everything on, and look for growth.

    The source is a Motion JPEG camera on loopback in which a face comes and goes; it is killed at random and returns.
    The run writes JSON lines and CSV with rotation, snapshots and video in segments, runs a command at events, serves
    the live page to viewers that come and go, and publishes to a Mosquitto that is killed and returns, where Mosquitto
    is installed.

    Exit code 1: after the first tenth of the frames, memory grew by more than 1 MB per 100,000 frames, descriptors or
    threads were added, or the 99th percentile of a frame's time rose by more than a quarter.
    """
    before = condition()
    with TemporaryDirectory() as folder, ExitStack() as closing:
        camera_port, words = free_port(), [sys.executable, "-m", "fer_edge.benchmarks.soak.camera"]
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        write_pictures(pictures)
        words += [str(camera_port), str(pictures), str(rate)]
        camera = closing.enter_context(mortal(words, camera_port, life, seed=0))
        options = ["--source", f"http://127.0.0.1:{camera_port}/", *_outputs(Path(folder))]
        options += [*OUTPUTS, *SEGMENTS, *EVENTS]
        broker = None
        if MOSQUITTO is None:
            click.echo("note: no mosquitto on this machine, so that MQTT is left out", err=True)
        else:
            broker_port = free_port()
            broker = closing.enter_context(mortal(broker_words(Path(folder), broker_port), broker_port, life, seed=1))
            options += ["--mqtt", f"mqtt://127.0.0.1:{broker_port}/soak", "--mqtt-id", "soak"]
        run = closing.enter_context(open_page(*options))
        clients = closing.enter_context(reconnecting_viewers(run, viewers, seed=2))
        samples = list(_sample(run, frames, sample, Path(folder)))
        deaths = {"camera": camera.deaths, "broker": broker.deaths if broker else None}
        body: dict[str, Any] = {
            "frames": frames,
            "rate": rate,
            "deaths": deaths,
            "viewers": {"number": viewers, "connections": clients.connections, "refused": clients.refused},
            "log_lines": len(run.log),
            "tracebacks": sum("Traceback" in line for line in run.log),
        }
    found = findings(samples)
    body |= {"findings": [_finding(each) for each in found], "before": before, "after": condition()}
    path = write("soak", {**body, "rows": _rows(samples)}, out)
    if plot is not None:
        write_bytes(plot, curves({"rows": _rows(samples)}))
    for each in found:
        click.echo(_line(each))
    click.echo(
        f"{samples[-1].frames} frames, {deaths['camera']} deaths of the camera, {deaths['broker']} of the broker"
    )
    click.echo(f"wrote {path}", err=True)
    if any(each.met is False for each in found) or body["tracebacks"]:
        click.get_current_context().exit(1)


def _outputs(folder: Path) -> list[str]:
    (folder / RECORDINGS).mkdir()
    files = {"--jsonl": "faces.jsonl", "--csv": "faces.csv", "--snapshot-dir": "snapshots"}
    files |= {"--save-video": f"{RECORDINGS}/video.mp4"}
    return [word for option, name in files.items() for word in (option, str(folder / name))]


def _sample(run: PageProcess, frames: int, interval: float, folder: Path) -> Iterator[Sample]:
    """Samples until that many frames are processed; old recordings are deleted meanwhile."""
    start = time.monotonic()
    with progress_bar("frames", frames) as bar:
        while True:
            sample = take_sample(run, time.monotonic() - start)
            bar.update(min(frames, sample.frames) - bar.n)
            yield sample
            for old in sorted((folder / RECORDINGS).glob("*.mp4"))[:-KEPT_SEGMENTS]:
                old.unlink()
            if sample.frames >= frames:
                return
            time.sleep(interval)


def _rows(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    rows = []
    for index, sample in enumerate(samples):
        earlier = samples[index - 1].buckets if index else ()
        p99 = percentile(earlier, sample.buckets, 0.99)
        numbers = {
            name: getattr(sample, name) for name in ("seconds", "frames", "resident_mib", "descriptors", "threads")
        }
        rows.append({**numbers, "p99_ms": None if p99 is None else round(1000 * p99, 3)})
    return rows


def _finding(each: Finding) -> dict[str, Any]:
    return {"name": each.name, "value": each.value, "bound": each.bound, "met": each.met}


def _line(each: Finding) -> str:
    if each.value is None:
        return f"{each.name}: too few frames for a finding"
    return f"{each.name}: {each.value:g} ({'at most' if each.met else 'more than'} {each.bound:g})"
