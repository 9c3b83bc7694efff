"""A network stream (http, https, rtsp, rtmp, udp …) through OpenCV's FFmpeg."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import Closing, open_capture, read
from fer_edge.edge.types import Frame


class Stream(Closing):
    """The stream at `url`; opening and every read give up after `patience` seconds. Raises SourceError.

    An address with a known number of frames is a recording and not live. The sender's orderly end of a stream is
    its end; silence is an error. A password in the address is never shown.
    """

    def __init__(self, url: str, patience: float = 5.0) -> None:
        self.name = re.sub(r"//[^/@]*@", "//", url)
        self._patience = patience
        limit = round(patience * 1000)
        capture = open_capture(
            url,
            cv2.CAP_FFMPEG,
            (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit),
        )
        if capture is None:
            raise SourceError(f"{self.name} cannot be opened as a stream in {patience:g} s; is the address right?")
        self._capture = capture
        self.live = capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 and not self.live else None  # a live stream's rate is FFmpeg's guess
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        asked = time.monotonic()
        while (pixels := read(self._capture)) is not None:
            now = time.monotonic()
            media = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield Frame(pixels, index, now - self._start if self.live else media)
            index += 1
            asked = time.monotonic()
        if index == 0 or time.monotonic() - asked >= 0.9 * self._patience:
            raise SourceError(f"{self.name} sent no picture for {time.monotonic() - asked:.1f} s")

    def close(self) -> None:
        self._capture.release()
