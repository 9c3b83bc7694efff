"""What a worker process does: imported by the process that workers come from, before they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import cv2

from fer_edge.edge.commands.archive import processor as processor  # here: it is what takes time to import
from fer_edge.edge.device.environment import FFMPEG_THREADS, set_environment_defaults
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.terminal import configure_logging

OOM_SCORE = "500"
"""How readily the system kills a worker when memory runs out, from -1000 to 1000; 0 is usual."""


def start(folder: str, threads: int, level: int) -> None:
    """Prepare a new worker process.

    Args:
        folder: The working folder, from which relative paths count.
        threads: Threads of OpenCV and its FFmpeg; the networks have their own.
        level: Least level that is logged.
    """
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which the main process ends it
    with suppress(OSError):  # rather a worker, whose picture is tried again, than the process that waits for it
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(threads)
    set_environment_defaults({FFMPEG_THREADS: str(threads)})
    quiet_opencv()
    configure_logging(level)


def _end_with_parent() -> None:
    """End this process when its parent has ended, by kill -9 for example: nobody would collect its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
