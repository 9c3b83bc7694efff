"""The limits after which a run ends by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

from fer_edge.edge.commands.signals import GracefulShutdown
from fer_edge.edge.types import Frame, Source, option


@dataclass(frozen=True)
class LimitOptions:
    """When a run ends by itself."""

    max_frames: int | None = option(
        None, "End the run after this many frames.", metavar="FRAMES", minimum=1, example=1000
    )
    duration: float | None = option(
        None, "End the run after this many seconds.", metavar="SECONDS", minimum=0, open_minimum=True, example=60
    )

    @property
    def is_set(self) -> bool:
        """Whether there is a limit."""
        return self.max_frames is not None or self.duration is not None


def limited_frames(source: Source, limits: LimitOptions, shutdown: GracefulShutdown) -> Iterator[Frame]:
    """The source's frames until it ends, a signal comes, or a limit is reached; a file's duration is media time."""
    start, duration = None, None if source.live else limits.duration
    for count, frame in enumerate(source, start=1):
        start = frame.time if start is None else start
        if shutdown.requested or (duration is not None and frame.time - start >= duration):
            return
        yield frame
        if count == limits.max_frames:
            return


@contextmanager
def stop_after(source: Source, seconds: float | None) -> Iterator[None]:
    """Stop a live source after so many seconds, whether or not frames come."""
    if seconds is None or not source.live:
        yield
        return
    timer = Timer(seconds, source.stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def page_stays(source: Source, limits: LimitOptions, shutdown: GracefulShutdown) -> bool:
    """Whether the live page stays up at the end of a file: no limit was set, and no supervisor waits for the end."""
    is_limited = limits.is_set or "NOTIFY_SOCKET" in os.environ
    return not (source.live or source.problem or is_limited or shutdown.requested)
