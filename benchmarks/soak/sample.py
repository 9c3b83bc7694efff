"""What a running process uses, and how fast it is, at one moment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from fer_edge.benchmarks.page_connection import TIMEOUT
from fer_edge.benchmarks.page_process import PageProcess
from fer_edge.benchmarks.process_memory import resident_mib
from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.device.board import read_text

_FRAMES = re.compile(r"^fer_edge_frames_total ([\d.e+]+)$", re.MULTILINE)
_BUCKET = re.compile(r'^fer_edge_frame_seconds_bucket{le="([^"]+)"} ([\d.e+]+)$', re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """One moment of a run.

    Attributes:
        seconds: Since the soak's start.
        frames: Processed so far.
        resident_mib: Resident memory, MiB.
        descriptors: Open files and sockets.
        threads: Threads.
        buckets: Upper bound in seconds and number of frames so far that took no longer, rising; the last bound is
            infinite.
    """

    seconds: float
    frames: int
    resident_mib: float
    descriptors: int
    threads: int
    buckets: tuple[tuple[float, int], ...]


def take_sample(run: PageProcess, seconds: float) -> Sample:
    """Sample a run.

    Args:
        run: The process, with its page.
        seconds: Since the soak's start.

    Raises:
        ResultError: The process has ended, or its page does not answer.
    """
    metrics = _metrics(run)
    frames = _FRAMES.search(metrics)
    status = read_text(Path(f"/proc/{run.process}/status")) or ""
    threads = re.search(r"^Threads:\s*(\d+)", status, re.MULTILINE)
    memory = resident_mib(run.process)
    if frames is None or threads is None or memory is None:
        raise ResultError("fer-edge run has ended during the soak")
    return Sample(
        round(seconds, 1),
        int(float(frames[1])),
        memory,
        len(os.listdir(f"/proc/{run.process}/fd")),
        int(threads[1]),
        tuple((float(bound), int(float(count))) for bound, count in _BUCKET.findall(metrics)),
    )


def _metrics(run: PageProcess) -> str:
    connection = HTTPConnection(run.host, run.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {run.token}"})
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException) as error:
        raise ResultError(f"the live page does not answer any more: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise ResultError(f"the live page answered /metrics with {answer.status} {answer.reason}")
    return text


def percentile(before: Sequence[tuple[float, int]], after: Sequence[tuple[float, int]], share: float) -> float | None:
    """A percentile of the frames between two samples, linear within a bucket.

    Args:
        before: Buckets of the earlier sample; none for all frames so far.
        after: Buckets of the later one.
        share: 0..1, as 0.99.

    Returns:
        Seconds; None where there was no frame, the highest finite bound where the percentile lies above it.
    """
    earlier = dict(before)
    counts = [(bound, count - earlier.get(bound, 0)) for bound, count in after]
    total = counts[-1][1] if counts else 0
    if total <= 0:
        return None
    low, below = 0.0, 0
    for bound, count in counts:
        if count >= share * total:
            return low if bound == float("inf") else low + (bound - low) * (share * total - below) / (count - below)
        low, below = bound, count
    return low
