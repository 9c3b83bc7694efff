"""A libcamera camera through picamera2: the Raspberry Pi's own camera modules.

Source of the API: "The Picamera2 Library", Raspberry Pi Ltd, and picamera2's own code up to 0.3.38.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.device.environment import LIBCAMERA, set_environment_defaults
from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.capture_request import UNSPECIFIED, CaptureRequest
from fer_edge.edge.sources.dual_picture import DualPicture, flip_picture
from fer_edge.edge.types import Frame, Picture

FORMATS = ("RGB888", "XRGB8888")
"""Both are B, G, R in memory (libcamera names them by their 24- or 32-bit word); some pipelines lack the first."""

TO_BGR = {
    "RGB888": None,
    "XRGB8888": cv2.COLOR_BGRA2BGR,
    "BGR888": cv2.COLOR_RGB2BGR,
    "XBGR8888": cv2.COLOR_RGBA2BGR,
}
"""OpenCV's conversions: a pipeline that lacks the requested format may grant another without an error."""

DEFAULT_SIZE = (640, 480)
"""Width and height where none is requested; a sensor's full size would only be scaled down again."""

BUFFERS = 4
"""Picture buffers: one is being read while the sensor fills the others. Each takes memory shared with graphics."""

FRAME_DURATION = "FrameDurationLimits"
"""libcamera's control for the rate: the shortest and the longest time between two pictures, microseconds."""

MIN_SMALL_SIDE = 320
"""Least longer side of the second, small stream, pixels: the input size of the face detector."""

MAX_SINGLE_PIXELS = 1280 * 720
"""Number of pixels up to which a picture comes without a small one."""


class PiCamera(BaseSource):
    """A libcamera camera; frames carry the seconds since it was opened.

    A large picture comes with a small one of the same moment, which the image processor scales at no cost.
    """

    live = True

    def __init__(
        self,
        number: int = 0,
        request: CaptureRequest = UNSPECIFIED,
        flips: tuple[bool, bool] = (False, False),
        frame_timeout: float = 5.0,
    ) -> None:
        """Open the camera and start it.

        Args:
            number: libcamera's number of the camera.
            request: Size and rate to request.
            flips: Whether to flip left to right and upside down; the image processor does so where it can.
            frame_timeout: Seconds without a picture after which the camera counts as lost.

        Raises:
            SourceError: picamera2 is missing, or there is no such camera, it is in use or does not start.
        """
        self._library = import_picamera2()
        picamera2 = self._library.Picamera2
        cameras = picamera2.global_camera_info()
        if number >= len(cameras):
            raise SourceError(f"there is no camera {number}; libcamera sees {len(cameras)}")
        size = (request.width or DEFAULT_SIZE[0], request.height or DEFAULT_SIZE[1])
        self._camera = _open_and_start(picamera2, number, size, request.fps, flips)
        granted = self._camera.camera_configuration()
        self.size: tuple[int, int] = tuple(granted["main"]["size"])
        self._to_bgr = TO_BGR[granted["main"]["format"]]
        self._small_size: tuple[int, int] | None = tuple(granted["lores"]["size"]) if granted["lores"] else None
        self._full_range = "Limited" not in str(getattr(granted.get("colour_space"), "range", ""))
        # libcamera may remove a flip from the configuration; it is then done while copying
        transform = granted["transform"]
        self._flips = flips[0] != bool(transform.hflip), flips[1] != bool(transform.vflip)
        self.fps = _negotiated_rate(self._camera)
        self._frame_timeout = frame_timeout
        self.name = f"camera {number} (picamera2, {cameras[number]['Model']}, {request.describe(self.size, self.fps)})"
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            try:
                picture = self._capture()
            except TimeoutError:
                raise SourceError(
                    f"{self.name} gave no picture for {self._frame_timeout:g} s; is its cable loose?"
                ) from None
            except Exception as error:
                raise SourceError(f"{self.name} stopped giving pictures ({error_text(error)})") from None
            yield Frame(picture, index, time.monotonic() - self._start)
            index += 1

    def _capture(self) -> NDArray[np.uint8] | Picture:
        """The next picture, copied once out of the camera's buffers, which are then released."""
        request = self._camera.capture_request(wait=self._frame_timeout)
        try:
            with self._library.MappedArray(request, "main", write=False) as mapped:
                pixels = self._copy(mapped.array)  # (H, W, 3) of (H, W, 3 or 4)
            if self._small_size is None:
                return pixels
            with self._library.MappedArray(request, "lores", write=False) as mapped:
                yuv = np.array(mapped.array)  # (h * 3 / 2, stride), stride >= w
            return DualPicture(pixels, yuv, self._small_size, self._full_range, self._flips)
        finally:
            request.release()

    def _copy(self, mapped: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """BGR in memory of its own; OpenCV reorders channels and pixels twenty times faster than numpy copies them."""
        if self._to_bgr is not None:
            return flip_picture(np.asarray(cv2.cvtColor(mapped, self._to_bgr), np.uint8), self._flips)
        return flip_picture(mapped, self._flips) if any(self._flips) else np.array(mapped, order="C")

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.stop()
            camera.close()


def import_picamera2() -> Any:
    """Import picamera2 and keep it from writing to stderr.

    Returns:
        The module.

    Raises:
        SourceError: It is missing or does not import; the error says what to do.
    """
    set_environment_defaults(LIBCAMERA)
    logger = logging.getLogger("picamera2")
    if not logger.hasHandlers():  # else its errors would be on stderr beside ours
        logger.addHandler(logging.NullHandler())
    try:
        return importlib.import_module("picamera2")
    except ImportError:
        raise SourceError(
            "picamera2 is missing; `sudo apt install python3-picamera2`, and make the virtual environment "
            "with --system-site-packages"
        ) from None
    except Exception as error:  # a pip numpy beside apt's simplejpeg fails here with a ValueError
        raise SourceError(f"picamera2 does not import ({error_text(error)}); use apt's numpy with it") from None


def small_size(width: int, height: int) -> tuple[int, int] | None:
    """Choose the size of the second, small stream: the main one's, halved as often as the detector loses nothing by it.

    `fer-edge bench capture` shows what it saves: nothing at 1280x720, a tenth of a 1920x1080 frame's time with a face.

    Args:
        width: Width of the main stream, pixels.
        height: Height of the main stream, pixels.

    Returns:
        Width and height, both even; None where no small stream is worth its cost.
    """
    if width * height <= MAX_SINGLE_PIXELS:
        return None
    halvings = 0
    while max(width, height) >> (halvings + 1) >= MIN_SMALL_SIDE:
        halvings += 1
    return ((width >> halvings) & ~1, (height >> halvings) & ~1) if halvings else None


def _open_and_start(
    picamera2: Any, number: int, size: tuple[int, int], fps: float | None, flips: tuple[bool, bool]
) -> Any:
    """picamera2's camera, started in the first format that works; SourceError with all reasons where none does."""
    failures = []
    small_sizes = dict.fromkeys((small_size(*size), None))  # a USB camera behind libcamera has no second stream
    for small, pixel_format in [(small, each) for small in small_sizes for each in FORMATS]:
        streams = {"main": {"size": size, "format": pixel_format}}
        if small:
            streams["lores"] = {"size": small, "format": "YUV420"}
        camera = _open(picamera2, number)
        try:
            _start(camera, streams, fps, flips)
            return camera
        except Exception as error:
            camera.close()  # else the next attempt finds it busy
            failures.append(f"{pixel_format}: {error_text(error)}")
    raise SourceError(f"picamera2 cannot start camera {number} ({'; '.join(failures)})")


def _open(picamera2: Any, number: int) -> Any:
    """picamera2's camera, not yet started; SourceError where it cannot be opened."""
    try:
        return picamera2(number)
    except Exception as error:
        raise SourceError(
            f"picamera2 cannot open camera {number} ({error_text(error)}); does another program use it?"
        ) from None


def _start(camera: Any, streams: dict[str, Any], fps: float | None, flips: tuple[bool, bool]) -> None:
    """Configure and start a picamera2.Picamera2; any Exception where it refuses."""
    libcamera = importlib.import_module("libcamera")
    has_rate = FRAME_DURATION in camera.camera_controls
    configuration = camera.create_video_configuration(
        **streams,
        transform=libcamera.Transform(hflip=flips[0], vflip=flips[1]),
        buffer_count=BUFFERS,
        controls={FRAME_DURATION: (round(1e6 / fps),) * 2} if fps and has_rate else {},
    )
    camera.configure(configuration)
    granted = camera.camera_configuration()["main"]["format"]
    if granted not in TO_BGR:
        raise SourceError(f"it gives {granted}; expected {', '.join(TO_BGR)}")
    camera.start()


def _negotiated_rate(camera: Any) -> float | None:
    """Frame rate of a configured camera, frames per second: the requested one within its sensor mode's limits."""
    limits = camera.camera_controls.get(FRAME_DURATION)
    requested = camera.camera_configuration()["controls"].get(FRAME_DURATION)
    return 1e6 / min(max(requested[1], limits[0]), limits[1]) if limits and requested else None


def error_text(error: Exception) -> str:
    """Put an error's text in one line; that of its cause where picamera2 wraps one."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__
