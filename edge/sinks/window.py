"""A window with the annotated picture, where there is a display."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import cv2

from fer_edge.edge.device.environment import QT, set_environment_defaults
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import OutputClosed
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.types import Frame, Prediction

TITLE = "fer-edge (q or Esc quits)"

PROBE_TIMEOUT = 20
"""Seconds; a cold import of OpenCV from a slow SD card takes some."""


def window_problem() -> str | None:
    """Why no window can be opened here, or None where one can.

    Qt ends the process with abort() when the display that DISPLAY names cannot be reached (a stale or forbidden X
    forward over SSH), so the first window is tried in a child process.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
    probe = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"
    try:
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=PROBE_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return "the display does not answer"
    if done.returncode == 0:
        return None
    if b"not implemented" in done.stderr:
        return "this OpenCV is built without windows (opencv-python-headless)"
    return f"the display {os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')} cannot be used"


class WindowSink:
    """Shows every annotated frame in a window; q, Esc or closing the window raises OutputClosed.

    Raises:
        SinkError: No window can be opened.
    """

    def __init__(self) -> None:
        if problem := window_problem():
            raise SinkError(f"no window can be opened: {problem}; use --show text, --jsonl or --save-video")
        set_environment_defaults(QT)
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._has_size = False

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        picture = annotate(frame, predictions)
        if not self._has_size:
            cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
            self._has_size = True
        cv2.imshow(TITLE, picture)
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            raise OutputClosed("q or Esc was pressed")
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise OutputClosed("the window was closed")

    def close(self) -> None:
        with suppress(cv2.error):  # already closed by the user
            cv2.destroyWindow(TITLE)
