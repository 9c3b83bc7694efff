"""A run in Prometheus' text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_edge.edge.device.version import package_version
from fer_edge.edge.types import EMOTIONS
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.state import RunInfo, seen, waiting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(run: RunInfo, live: FrameMailbox, viewers: int) -> str:
    """Everything worth a graph; a temperature only where the board has one."""
    return "".join(f"{line}\n" for family in _families(run, live, viewers) for line in family)


def _families(run: RunInfo, live: FrameMailbox, viewers: int) -> Iterator[list[str]]:
    stats = run.stats
    yield _family(
        "build_info", "gauge", "The version of fer-edge.", {f'{{version="{_escaped(package_version())}"}}': 1}
    )
    yield _family("frames_total", "counter", "Frames looked at.", {"": stats.frames})
    yield _family("frames_dropped_total", "counter", "Frames of a live source not looked at.", {"": run.source.dropped})
    emotions = {f'{{emotion="{name}"}}': live.emotions[name] for name in EMOTIONS}
    yield _family("faces_total", "counter", "Faces in all frames, by what they looked like.", emotions)
    yield _family("faces", "gauge", "Faces that are there now.", {"": len(seen(run, live))})
    yield _family("frame_age_seconds", "gauge", "Time since the newest frame.", {"": round(waiting(live), 3)})
    disconnected = {"": round(run.source.disconnected, 3)}
    yield _family("source_away_seconds", "gauge", "Time since the source was lost, 0 while it is there.", disconnected)
    stages = {f'_sum{{stage="{stage}"}}': round(seconds, 6) for stage, seconds in stats.seconds.items()}
    stages |= {f'_count{{stage="{stage}"}}': stats.frames for stage in stats.seconds}
    yield _family("stage_seconds", "summary", "Time that the stages of a frame took.", stages)
    if run.heat.now.celsius is not None:
        yield _family("board_celsius", "gauge", "Temperature of the board.", {"": run.heat.now.celsius})
    yield _family("heat_level", "gauge", "Steps by which less work is done because of heat.", {"": run.heat.level})
    yield _family(
        "viewers", "gauge", "Who looks: open pages, streams, and askers for pictures in the last 10 s.", {"": viewers}
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(usage.ru_utime + usage.ru_stime, 3)
    yield _family("process_cpu_seconds_total", "counter", "User and system time of the process.", {"": cpu}, prefix="")
    held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    yield _family("process_resident_memory_bytes", "gauge", "Memory of the process.", {"": held}, prefix="")


def _family(name: str, kind: str, about: str, samples: Mapping[str, float], prefix: str = "fer_edge_") -> list[str]:
    """A metric's lines. samples: what follows its name, a suffix or labels, and the value."""
    name = prefix + name
    return [
        f"# HELP {name} {about}",
        f"# TYPE {name} {kind}",
        *(f"{name}{end} {each}" for end, each in samples.items()),
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
