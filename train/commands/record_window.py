"""The window of `fer-edge data record`: the camera's picture with the face, and the space key that records it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import to_bgr
from fer_edge.edge.sinks.window import PictureWindow
from fer_edge.edge.types import Face, Frame

TITLE = "fer-edge data record"

HELP = "hold the space key to record; q or Esc ends"

SPACE = 32
"""The code of the space key."""

FIRST, REPEAT = 0.75, 0.3
"""Seconds for which a key counts as held after it was pressed, and after it repeated itself.

A window is told of keys that are pressed, not of those that are released. X11 repeats a held key after 0.66 s, desktops
after 0.5 s or less, and then some 25 times a second.
"""

RECORDING, WAITING, INK, PAPER = (60, 150, 60), (200, 200, 200), (255, 255, 255), (40, 40, 40)
FONT = cv2.FONT_HERSHEY_SIMPLEX


class HeldKey:
    """Whether a key is held, by the times at which it was pressed or repeated itself."""

    def __init__(self) -> None:
        self._last, self._repeats = -np.inf, False

    def press(self, now: float) -> None:
        """The key was pressed, or repeated itself, at a time in seconds."""
        self._repeats = now - self._last <= FIRST
        self._last = now

    def is_held(self, now: float) -> bool:
        """Whether it is held at a time in seconds."""
        return now - self._last <= (REPEAT if self._repeats else FIRST)


class RecordWindow:
    """Shows frames with their largest face; OutputClosed where the user ends it.

    Args:
        class_name: The class that is recorded.

    Attributes:
        is_recording: Whether the space key is held.

    Raises:
        SinkError: No window can be opened.
    """

    def __init__(self, class_name: str) -> None:
        self._window, self._space = PictureWindow(TITLE, "--seconds N to record without one"), HeldKey()
        self._class_name, self.is_recording = class_name, False

    def show(self, frame: Frame, faces: Sequence[Face], status: str) -> None:
        """Show a frame.

        Args:
            frame: The frame; it is not changed.
            faces: Its faces, largest first; the first is drawn.
            status: What was recorded so far.

        Raises:
            OutputClosed: q or Esc was pressed, or the window was closed.
        """
        text = f"{self._class_name}: {status}"
        keys = self._window.show(drawn(frame, faces, text, self.is_recording))
        now = time.monotonic()
        if SPACE in keys:
            self._space.press(now)
        self.is_recording = self._space.is_held(now)

    def close(self) -> None:
        """Close the window."""
        self._window.close()


def drawn(frame: Frame, faces: Sequence[Face], text: str, is_recording: bool) -> NDArray[np.uint8]:
    """A frame with its largest face and a line of text, (H, W, 3) uint8 BGR."""
    canvas = to_bgr(frame.pixels).copy()
    height = canvas.shape[0]
    line, colour = max(1, round(height / 240)), RECORDING if is_recording else WAITING
    for face in faces[:1]:
        corners = (face.box.x, face.box.y), (face.box.x + face.box.width, face.box.y + face.box.height)
        cv2.rectangle(canvas, *corners, colour, line, cv2.LINE_AA)
    scale = height / 720
    bar = round(40 * scale) + 8
    for rows, words in ((slice(0, bar), text), (slice(height - bar, height), HELP)):
        canvas[rows] = RECORDING if is_recording else PAPER
        base = rows.start + bar - bar // 3
        cv2.putText(canvas, words, (bar // 3, base), FONT, scale, INK, max(1, line // 2), cv2.LINE_AA)
    return canvas
