"""All that the page says about a run, as JSON can hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.device.version import package_version
from fer_edge.edge.sinks.jsonl import face_record
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import Source
from fer_edge.edge.types import Prediction
from fer_edge.edge.web.frame_mailbox import FrameMailbox

STALE = 10.0
"""Seconds without a frame after which a run that has not ended is no longer healthy."""


@dataclass(frozen=True)
class RunInfo:
    """What the page shows. stored: what is kept of it on this device, in words."""

    source: Source
    model: str
    stored: tuple[str, ...]
    stats: RunStats
    heat: ThermalMonitor


def waiting(live: FrameMailbox) -> float:
    """Seconds since the newest frame, or since the start where there was none."""
    newest = live.newest  # before the clock: a frame that comes in between would be younger than now
    return live.age() - (newest.at if newest else 0.0)


def seen(run: RunInfo, live: FrameMailbox) -> Sequence[Prediction]:
    """Those in the newest frame; nobody while the source is away."""
    return [] if live.newest is None or run.source.disconnected else live.newest.predictions


def status(run: RunInfo, live: FrameMailbox) -> str:
    """running, away (lost, and waited for), waiting (for a frame, too long), or ended."""
    if live.ended:
        return "ended"
    if run.source.disconnected:
        return "away"
    return "running" if waiting(live) < STALE else "waiting"


def state(run: RunInfo, live: FrameMailbox, viewers: int) -> dict[str, Any]:
    """Times are in seconds, stage times in mean milliseconds a frame, boxes in pixels of the frame."""
    shown, (rate, stages) = live.newest, run.stats.now()
    return {
        "version": package_version(),
        "status": status(run, live),
        "source": run.source.name,
        "live": run.source.live,
        "model": run.model,
        "stored": list(run.stored),
        "uptime": round(live.age(), 1),
        "waiting": round(waiting(live), 2),
        "away": round(run.source.disconnected, 1),
        "frame": shown.frame.index if shown else None,
        "time": round(shown.frame.time, 4) if shown else None,
        "size": [shown.frame.pixels.shape[1], shown.frame.pixels.shape[0]] if shown else None,
        "faces": [face_record(prediction) for prediction in seen(run, live)],
        "rate": round(rate, 2),
        "frames": run.stats.frames,
        "dropped": run.source.dropped,
        "stages": {stage: round(1000 * seconds, 3) for stage, seconds in stages.items()},
        "celsius": run.heat.now.celsius,
        "throttling": list(run.heat.now.held),
        "heat_level": run.heat.level,
        "viewers": viewers,
    }
