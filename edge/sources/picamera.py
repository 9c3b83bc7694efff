"""A libcamera camera through picamera2: the Raspberry Pi's own camera modules.

Source of what is asked of it: "The Picamera2 Library", Raspberry Pi Ltd, and picamera2's own code up to 0.3.38.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.sources.capture_request import NONE, CaptureRequest
from fer_edge.edge.types import Frame

FORMATS = ("RGB888", "XRGB8888")
"""Both lie in memory as B, G, R (libcamera names them by their 24- or 32-bit word); some pipelines lack the first."""

BGR = dict.fromkeys(FORMATS, slice(0, 3)) | dict.fromkeys(("BGR888", "XBGR8888"), slice(2, None, -1))
"""Where B, G, R lie in what is given: a pipeline that lacks the format asked for may take another without an error."""

DEFAULT_SIZE = (640, 480)
"""Width and height where none is asked for; a sensor's full size would only be scaled down again."""

BUFFERS = 4
"""Pictures under way: one is being read, the sensor fills the others. Each costs memory that graphics share."""

DURATION = "FrameDurationLimits"
"""libcamera's control for the rate: the shortest and the longest time from picture to picture, microseconds."""

SMALL_SIDE = 256
"""Shorter side in pixels that a second, small stream keeps at least: as much as the face detector looks at."""


class PiCamera(BaseSource):
    """libcamera's camera `number`; frames carry seconds since it was opened. Raises SourceError.

    flips: left to right and upside down, done by the image processor where it can. A large picture comes with a small
    one of the same moment, which the image processor scales for nothing. silence: seconds without a picture after
    which the camera counts as lost.
    """

    live = True

    def __init__(
        self,
        number: int = 0,
        request: CaptureRequest = NONE,
        flips: tuple[bool, bool] = (False, False),
        frame_timeout: float = 5.0,
    ) -> None:
        self._library = import_picamera2()
        picamera2 = self._library.Picamera2
        cameras = picamera2.global_camera_info()
        if number >= len(cameras):
            raise SourceError(f"there is no camera {number}; libcamera sees {len(cameras)}")
        size = (request.width or DEFAULT_SIZE[0], request.height or DEFAULT_SIZE[1])
        reasons = []
        for small, layout in dict.fromkeys((s, layout) for s in (small_size(*size), None) for layout in FORMATS):
            streams = {"main": {"size": size, "format": layout}}
            if small:  # a USB camera behind libcamera has no second stream
                streams["lores"] = {"size": small, "format": "YUV420"}
            camera = _opened(picamera2, number)
            try:
                _start(camera, streams, request.fps, flips)
                self._camera = camera
                break
            except Exception as error:
                camera.close()  # or the next try would find it busy
                reasons.append(f"{layout}: {reason(error)}")
        else:
            raise SourceError(f"picamera2 cannot start camera {number} ({'; '.join(reasons)})")
        given = self._camera.camera_configuration()
        self.size: tuple[int, int] = tuple(given["main"]["size"])
        self._bgr = BGR[given["main"]["format"]]
        self._small: tuple[int, int] | None = tuple(given["lores"]["size"]) if given["lores"] else None
        # libcamera may take a flip out of the configuration; what is left is done while copying
        granted = bool(given["transform"].hflip), bool(given["transform"].vflip)
        self._flips = flips[0] != granted[0], flips[1] != granted[1]
        self.fps = _rate(self._camera)
        self._frame_timeout = frame_timeout
        self.name = f"camera {number} (picamera2, {cameras[number]['Model']}, {request.describe(self.size, self.fps)})"
        self._began = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            try:
                pixels, small = self._pictures()
            except TimeoutError:
                raise SourceError(
                    f"{self.name} gave no picture for {self._frame_timeout:g} s; is its cable loose?"
                ) from None
            except Exception as error:
                raise SourceError(f"{self.name} stopped giving pictures ({reason(error)})") from None
            yield Frame(pixels, index, time.monotonic() - self._began, small)
            index += 1

    def _pictures(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """The next picture and the small one; borrowed where the camera wrote them, copied once and given back."""
        request = self._camera.capture_request(wait=self._frame_timeout)
        try:
            with self._library.MappedArray(request, "main", write=False) as lent:
                pixels = self._flipped(lent.array[..., self._bgr])  # (H, W, 3) of (H, W, 3 or 4)
            if self._small is None:
                return pixels, None
            with self._library.MappedArray(request, "lores", write=False) as lent:
                wide = cv2.cvtColor(lent.array, cv2.COLOR_YUV2BGR_I420)  # of (h * 3 / 2, stride), stride >= w
            return pixels, self._flipped(np.asarray(wide[:, : self._small[0]], np.uint8))
        finally:
            request.release()

    def _flipped(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        across, down = (-1 if flip else 1 for flip in self._flips)
        return np.array(pixels[::down, ::across], order="C")

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.stop()
            camera.close()


def import_picamera2() -> Any:
    """The picamera2 package, quietened; SourceError with what to do where it does not import."""
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    logger = logging.getLogger("picamera2")
    if not logger.hasHandlers():  # else its errors are on stderr beside ours
        logger.addHandler(logging.NullHandler())
    try:
        return importlib.import_module("picamera2")
    except ImportError:
        raise SourceError(
            "picamera2 is missing; `sudo apt install python3-picamera2`, and make the virtual environment "
            "with --system-site-packages"
        ) from None
    except Exception as error:  # a pip numpy beside apt's simplejpeg fails here with a ValueError
        raise SourceError(f"picamera2 does not import ({reason(error)}); use apt's numpy with it") from None


def small_size(width: int, height: int) -> tuple[int, int] | None:
    """The size of the second stream: halved as often as the detector loses nothing by it; None where that is once.

    Each small picture is converted, but only one in four to sixteen is looked at: halved once, that costs as much.
    """
    halvings = 0
    while min(width, height) >> (halvings + 1) >= SMALL_SIDE:
        halvings += 1
    return ((width >> halvings) & ~1, (height >> halvings) & ~1) if halvings > 1 else None


def _opened(picamera2: Any, number: int) -> Any:
    """picamera2's camera, not yet started; SourceError where it cannot be had, as another program has it."""
    try:
        return picamera2(number)
    except Exception as error:
        raise SourceError(
            f"picamera2 cannot open camera {number} ({reason(error)}); does another program use it?"
        ) from None


def _start(camera: Any, streams: dict[str, Any], fps: float | None, flips: tuple[bool, bool]) -> None:
    """Have a picamera2.Picamera2 give such streams; any Exception where it does not."""
    libcamera = importlib.import_module("libcamera")
    fixed = fps is not None and DURATION in camera.camera_controls
    configuration = camera.create_video_configuration(
        **streams,
        transform=libcamera.Transform(hflip=flips[0], vflip=flips[1]),
        buffer_count=BUFFERS,
        controls={DURATION: (round(1e6 / fps),) * 2} if fps and fixed else {},
    )
    camera.configure(configuration)
    given = camera.camera_configuration()["main"]["format"]
    if given not in BGR:
        raise SourceError(f"it gives {given}; expected {', '.join(BGR)}")
    camera.start()


def _rate(camera: Any) -> float | None:
    """Frames a second that a configured camera gives: what was asked, within what its sensor's mode can."""
    limits = camera.camera_controls.get(DURATION)
    asked = camera.camera_configuration()["controls"].get(DURATION)
    return 1e6 / min(max(asked[1], limits[0]), limits[1]) if limits and asked else None


def reason(error: Exception) -> str:
    """An error's text for a message that must fit in one line: that of its cause, where picamera2 wraps one."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__
