"""Whole frames on clips of no, one or several faces: stages, frame rate, CPU time, memory, dropped frames."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.fixtures.clips import write_clip
from fer_edge.benchmarks.options import comma_separated, frame_size, result_file, thread_count
from fer_edge.benchmarks.pipeline_case import Case
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, identity, write
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.edge.types import MAX_THREADS, option


@dataclass(frozen=True)
class RunOptions:
    """How long each case runs, and how fast its camera is."""

    frames: int = option(200, "Frames of each clip.", metavar="N", minimum=2)
    camera_rate: float = option(
        30.0, "Frame rate of the simulated camera, frames per second.", metavar="FPS", minimum=1
    )
    minutes: float = option(
        0.0, "Minutes that each case keeps running at full rate; 0 for none.", metavar="MINUTES", minimum=0
    )


def _faces(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


@click.command(cls=RecordedCommand)
@click.argument("model", default="ensemble", metavar="[MODEL]")
@click.option(
    "--faces",
    default="0,1,2,5,16",
    metavar="N,N…",
    callback=comma_separated(_faces, "numbers from 0"),
    help="Faces in a clip; 0 is an empty room.",
)
@click.option(
    "--sizes",
    default="640x480,1280x720",
    metavar="WxH,WxH…",
    callback=comma_separated(frame_size, "WxH from 64"),
    help="Width and height of a clip, pixels.",
)
@click.option(
    "--threads",
    default="1",
    metavar="N,N…",
    callback=comma_separated(thread_count, f"whole numbers from 1 to {MAX_THREADS}"),
    help="Threads per model.",
)
@options_from(
    PipelineOptions,
    only=("early_exit", "detect_every", "motion_gate", "cache_threshold"),
    defaults={"early_exit": True},
)
@options_from(RunOptions)
@result_file
def pipeline(
    model: str,
    faces: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    threads: tuple[int, ...],
    pipeline_options: PipelineOptions,
    run_options: RunOptions,
    out: Path | None,
) -> None:
    """Measure the whole pipeline of `fer-edge run` with MODEL (default: the ensemble).

    The clips are made from one portrait. Each combination of size, faces and threads runs in a process of its own.
    With --no-early-exit --cache-threshold 0, all models run on every face in every frame.
    """
    described, before = identity(model), condition()
    with tempfile.TemporaryDirectory() as folder:
        options = [replace(pipeline_options, model=model, threads=each) for each in threads]
        cases = _cases(Path(folder), sizes, faces, options, run_options)
        total = len(sizes) * len(faces) * len(threads)
        rows = [{**described, **_in_new_process(case)} for case in track(cases, "cases", total)]
    body = {"frames": run_options.frames, "before": before, "after": condition(), "rows": rows}
    path = write("pipeline", body, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _cases(
    folder: Path,
    sizes: tuple[tuple[int, int], ...],
    faces: tuple[int, ...],
    pipelines: list[PipelineOptions],
    run: RunOptions,
) -> Iterator[Case]:
    """Each size, number of faces and pipeline, its clip written to the folder."""
    for (width, height), number in product(sizes, faces):
        clip = write_clip(folder / f"{width}x{height}-{number}.avi", run.frames, number, width, height)
        for options in pipelines:
            yield Case(str(clip), number, width, height, options, run.camera_rate, run.minutes)


def _line(row: dict[str, Any]) -> str:
    stages = ", ".join(f"{name} {row['stages'][name]['mean']:.2f}" for name in row["stages"])
    return (
        f"{row['width']}x{row['height']}, {row['faces']} faces, {row['threads']} thr: {row['rate']:.0f} frames/s, "
        f"{1000 * row['cpu_seconds']:.2f} CPU ms per frame, {row['peak_mib']:.0f} MiB; mean ms: {stages}"
    )


def _in_new_process(case: Case) -> dict[str, Any]:
    """The case's row, from a process that does nothing else, for its peak memory."""
    command = [sys.executable, "-m", "fer_edge.benchmarks.pipeline_case", json.dumps(asdict(case))]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{case.width}x{case.height} with {case.faces} faces failed in its process: {last}")
    row: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return row
