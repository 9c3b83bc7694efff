"""A libcamera camera through picamera2: the Raspberry Pi's own camera modules."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import Closing
from fer_edge.edge.types import Frame

FORMATS = ("RGB888", "XRGB8888")
"""Both lie in memory as B, G, R (libcamera names them by their 24- or 32-bit word); some pipelines lack the first."""

DEFAULT_SIZE = (640, 480)
"""Width and height where none is asked for; a sensor's full size would only be scaled down again."""


class PiCamera(Closing):
    """libcamera's camera `number`; frames carry seconds since it was opened. Raises SourceError."""

    live = True

    def __init__(self, number: int = 0, width: int | None = None, height: int | None = None) -> None:
        os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
        try:
            picamera2 = importlib.import_module("picamera2").Picamera2
        except ImportError:
            raise SourceError(
                "picamera2 is missing; `sudo apt install python3-picamera2`, and make the virtual environment "
                "with --system-site-packages"
            ) from None
        except Exception as error:  # a pip numpy beside apt's simplejpeg fails here with a ValueError
            raise SourceError(f"picamera2 does not import ({_line(error)}); use apt's numpy with it") from None
        cameras = picamera2.global_camera_info()
        if number >= len(cameras):
            raise SourceError(f"there is no camera {number}; libcamera sees {len(cameras)}")
        wished = (width or DEFAULT_SIZE[0], height or DEFAULT_SIZE[1])
        reasons = []
        for layout in FORMATS:
            try:
                self._camera = _started(picamera2, number, wished, layout)
                break
            except Exception as error:
                reasons.append(f"{layout}: {_line(error)}")
        else:
            raise SourceError(f"picamera2 cannot start camera {number} ({'; '.join(reasons)})")
        self.size: tuple[int, int] = tuple(self._camera.camera_configuration()["main"]["size"])
        self.name = f"camera {number} (picamera2, {self.size[0]}x{self.size[1]})"
        self._began = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            try:
                pixels = self._camera.capture_array("main")  # (H, W, 3) or (H, W, 4)
            except Exception as error:
                raise SourceError(f"{self.name} stopped giving pictures ({_line(error)})") from None
            yield Frame(np.ascontiguousarray(pixels[..., :3]), index, time.monotonic() - self._began)
            index += 1

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()  # stops it, too


def _started(picamera2: Any, number: int, size: tuple[int, int], layout: str) -> Any:
    """A running picamera2.Picamera2; one that does not start is closed, or the next try would find it busy."""
    camera = picamera2(number)
    try:
        camera.configure(camera.create_video_configuration(main={"size": size, "format": layout}))
        camera.start()
    except Exception:
        camera.close()
        raise
    return camera


def _line(error: Exception) -> str:
    """An error's text, for a message that must fit in one line."""
    return " ".join(str(error).split()) or type(error).__name__
