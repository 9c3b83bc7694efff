"""The live page with 1, 10 and 50 viewers: its answers, the smoothness of its picture, and what it costs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from fer_edge.benchmarks.fixtures.clips import RATE, write_clip
from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.page_connection import TIMEOUT
from fer_edge.benchmarks.page_process import PageProcess, open_page
from fer_edge.benchmarks.page_viewers import Client, Figures, watch
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.terminal import track

CLIP_SIZE = (640, 480)
"""Pixels of the clip."""

CLIP_FACES = 2
"""Faces in it."""

CLIP_FRAMES = 100
"""Frames after which it repeats."""

ROUNDS = 3
"""Rounds in which every number of viewers has its turn, so that slow drift affects all alike."""

BUSY = 0.7
"""Share of a core that the viewers may take: beyond it, their own delays count."""


@click.command(cls=RecordedCommand)
@click.option(
    "--viewers",
    default="1,10,50",
    metavar="N,N…",
    callback=comma_separated(count, "numbers"),
    help="Viewers at a time.",
)
@click.option(
    "--seconds",
    type=FloatRange(min=0.1),
    default=15.0,
    metavar="SECONDS",
    help="Length of the measurement with each number and kind of viewers.",
)
@result_file
def page(viewers: tuple[int, ...], seconds: float, out: Path | None) -> None:
    """Measure the live page of `fer-edge run --web` with several viewers.

    A run of the ensemble on a repeated clip of two faces, at 25 frames/s, serves the page in a process of its own. Its
    viewers are browsers with the page open, then players of the Motion JPEG stream; one more client requests the state
    20 times a second on a kept connection. Measured are the time of a state, the interval between a viewer's pictures,
    skipped frames, and the server's CPU time.
    """
    before = condition()
    kinds: tuple[Client, ...] = ("page", "player")
    cases: list[tuple[Client, int]] = [("page", 0), *product(kinds, dict.fromkeys(viewers))]
    figures = {case: Figures() for case in cases}
    runs = {case: Counter[str]() for case in cases}
    with TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.avi", CLIP_FRAMES, CLIP_FACES, *CLIP_SIZE)
        with open_page("--source", str(clip), "--loop", "--model", "ensemble") as server:
            for case in track(ROUNDS * cases, "cases", ROUNDS * len(cases)):
                counts = _counts(server)
                asyncio.run(watch(server, *case, seconds / ROUNDS, figures[case]))
                runs[case].update(_counts(server))
                runs[case].subtract(counts)
    rows = [_row(*case, figures[case], runs[case]) for case in cases]
    body = {"seconds": seconds, "rate": RATE, "before": before, "after": condition(), "rows": rows}
    path = write("page", body, out)
    for row in rows:
        click.echo(_line(row))
    busiest = max(row["client_cpu"] for row in rows)
    if busiest > BUSY:
        click.echo(f"note: the viewers took {100 * busiest:.0f} % of a core, so that their own delays count", err=True)
    click.echo(f"wrote {path}", err=True)


def _counts(server: PageProcess) -> dict[str, float]:
    """The run so far: seconds, processed frames and dropped frames."""
    connection = HTTPConnection(server.host, server.port, timeout=TIMEOUT)
    connection.request("GET", "/api/state", headers={"Authorization": f"Bearer {server.token}"})
    state = json.loads(connection.getresponse().read())
    connection.close()
    return {name: state[name] for name in ("uptime", "frames", "dropped")}


def _row(client: Client, number: int, figures: Figures, run: Counter[str]) -> dict[str, Any]:
    """A row of the result: times in milliseconds, processor time as a share of a core."""
    times = {"state_ms": figures.state, "picture_ms": figures.interval, "behind_ms": figures.behind}
    times |= {"event_ms": figures.event_interval, "client_lag_ms": figures.client_lag}
    return {
        "client": client if number else None,
        "viewers": number,
        **{name: summary(values) for name, values in times.items() if values},
        "pictures": figures.pictures,
        "skipped": figures.skipped,
        "server_cpu": round(figures.server_cpu / figures.seconds, 4),
        "client_cpu": round(figures.client_cpu / figures.seconds, 4),
        "frames_per_second": round(run["frames"] / run["uptime"], 2),
        "dropped": run["dropped"],
    }


def _line(row: dict[str, Any]) -> str:
    parts = [f"{row['viewers']:3} {row['client'] or 'viewer'}s"]
    for name in ("state_ms", "picture_ms", "behind_ms", "event_ms"):
        if name in row:
            p50, p99 = row[name]["p50"], row[name]["p99"]
            parts.append(f"{name.removesuffix('_ms')} p50 {p50:.1f} p99 {p99:.1f} ms")
    parts.append(f"{row['skipped']} of {row['skipped'] + row['pictures']} frames skipped")
    parts.append(f"CPU {100 * row['server_cpu']:.0f} % (viewers {100 * row['client_cpu']:.0f} %)")
    parts.append(f"{row['frames_per_second']:.1f} frames/s, {row['dropped']} dropped")
    return ", ".join(parts)
