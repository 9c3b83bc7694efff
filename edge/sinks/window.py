"""A window with the annotated picture, where there is a display."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.device.environment import QT, set_environment_defaults
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import OutputClosed
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.types import Frame, Prediction

TITLE = "fer-edge (q or Esc quits)"

ESCAPE = 27
"""The code of the Esc key."""

MAX_KEYS = 50
"""Keys that are taken after one picture: a key that is held repeats itself some 30 times a second."""

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


class PictureWindow:
    """A window that shows pictures; q, Esc or closing it raises OutputClosed.

    Raises:
        SinkError: No window can be opened.
    """

    def __init__(self, title: str, otherwise: str) -> None:
        """Open the window.

        Args:
            title: Its title.
            otherwise: What to use where there is no display, for the error.
        """
        if problem := window_problem():
            raise SinkError(f"no window can be opened: {problem}; use {otherwise}")
        set_environment_defaults(QT)
        self._title, self._has_size = title, False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, picture: NDArray[np.uint8]) -> list[int]:
        """Show a picture.

        Args:
            picture: (H, W, 3) BGR or (H, W) gray uint8.

        Returns:
            The codes of the keys that were pressed, or repeated themselves, since the last picture.

        Raises:
            OutputClosed: q or Esc was pressed, or the window was closed.
        """
        if not self._has_size:
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            self._has_size = True
        cv2.imshow(self._title, picture)
        keys: list[int] = []
        while len(keys) < MAX_KEYS and (key := cv2.waitKey(1)) >= 0:
            keys.append(key & 0xFF)
        if {ord("q"), ESCAPE} & set(keys):
            raise OutputClosed("q or Esc was pressed")
        if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            raise OutputClosed("the window was closed")
        return keys

    def close(self) -> None:
        """Close the window."""
        with suppress(cv2.error):  # already closed by the user
            cv2.destroyWindow(self._title)


class WindowSink:
    """Shows every annotated frame in a window; q, Esc or closing the window raises OutputClosed.

    Raises:
        SinkError: No window can be opened.
    """

    def __init__(self) -> None:
        self._window = PictureWindow(TITLE, "--show text, --jsonl or --save-video")

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._window.show(annotate(frame, predictions))

    def close(self) -> None:
        self._window.close()
