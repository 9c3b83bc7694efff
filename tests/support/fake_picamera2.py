"""Fakes of picamera2 0.3 and libcamera, with the parts that PiCamera uses.

Names, arguments and defaults are those of picamera2's own code: a configuration is checked as strictly, buffers are few
and must be released, rows are padded, a stopped camera gives nothing.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np
import pytest

PADDING = 32
"""Bytes of which the length of a row in memory is a multiple."""

CHANNELS = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4, "YUYV": 2}
"""Bytes per pixel; B, G, R in memory where the name begins with R or XR."""


@dataclass
class Transform:
    """libcamera.Transform."""

    hflip: bool = False
    vflip: bool = False
    transpose: bool = False


class Picamera2:
    """picamera2.Picamera2 with an imx708; every test has a class of its own.

    Attributes:
        unsupported: Formats that fail at start.
        granted_format: The format that is granted, whatever was requested.
        refuses_flips: Whether no flip is granted.
        silent: Whether no picture comes.
        single_stream: Whether the camera has one stream only, as a USB camera has.
        open_cameras: The cameras that are open now.
        buffers_in_use: Number of buffers that were not released yet.
    """

    unsupported: tuple[str, ...] = ()
    granted_format: str | None = None
    refuses_flips = silent = single_stream = False
    open_cameras: list[Picamera2]
    buffers_in_use = 0

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0}
        ]

    def __init__(self, camera_num: int = 0) -> None:
        if self.open_cameras:
            cause = RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from cause
        self.open_cameras.append(self)
        self._configuration: dict[str, Any] | None = None
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        return {} if self.single_stream else {"FrameDurationLimits": (17857, 220417486, 33333)}

    @property
    def sensor_modes(self) -> list[dict[str, Any]]:
        sizes = (((1536, 864), 120.13), ((2304, 1296), 56.03))
        return [{"format": "SRGGB10_CSI2P", "bit_depth": 10, "size": size, "fps": fps} for size, fps in sizes]

    def create_video_configuration(
        self,
        main: dict[str, Any] = {},  # noqa: B006  as the real one
        lores: dict[str, Any] | None = None,
        transform: Transform = Transform(),  # noqa: B008
        buffer_count: int = 6,
        controls: dict[str, Any] = {},  # noqa: B006
    ) -> dict[str, Any]:
        if not self.single_stream:
            controls = {"FrameDurationLimits": (33333, 33333)} | controls
        return {
            "main": {"format": "XBGR8888", "size": (1280, 720)} | main,
            "lores": None if lores is None else {"format": "YUV420"} | lores,
            "transform": transform,
            "buffer_count": buffer_count,
            "controls": controls,
        }

    def configure(self, camera_config: dict[str, Any]) -> None:
        if self._started:
            raise RuntimeError("Camera must be stopped before configuring")
        given = dict(camera_config)
        for name in ("main", "lores"):
            if given[name] is None:
                continue
            width, height = given[name]["size"]
            if width % 2 or height % 2:
                raise RuntimeError("width and height should be even")
            layout = self.granted_format if name == "main" and self.granted_format else given[name]["format"]
            stride = (CHANNELS.get(layout, 1) * width + PADDING) // PADDING * PADDING
            given[name] = given[name] | {"format": layout, "stride": stride}
        if given["lores"] is not None:
            if self.single_stream:
                raise RuntimeError("Invalid camera configuration")
            if any(a > b for a, b in zip(given["lores"]["size"], given["main"]["size"], strict=True)):
                raise RuntimeError("lores stream dimensions may not exceed main stream")
        if self.refuses_flips:
            given["transform"] = Transform()
        self._configuration = given

    def camera_configuration(self) -> dict[str, Any]:
        assert self._configuration is not None
        return self._configuration

    def start(self) -> None:
        if self.camera_configuration()["main"]["format"] in self.unsupported:
            raise RuntimeError("Failed to start camera:\nInvalid argument")
        self._started = True

    def capture_request(self, wait: float | bool | None = None) -> CompletedRequest:
        if self.silent or self.buffers_in_use >= self.camera_configuration()["buffer_count"]:
            Future[None]().result(timeout=wait)
        time.sleep(0.002)
        self.buffers_in_use += 1
        return CompletedRequest(self)

    def stop(self) -> None:
        self._started = False

    def close(self) -> None:
        self.stop()
        if self in self.open_cameras:
            self.open_cameras.remove(self)


class CompletedRequest:
    """picamera2.CompletedRequest: a picture in the camera's own memory until it is released."""

    def __init__(self, camera: Picamera2) -> None:
        self.camera, self.config = camera, camera.camera_configuration()

    def buffer(self, stream: str) -> np.ndarray:
        """The stream's memory: scene(), flipped by the image processor; YUV420 has Y 100 left and 200 right."""
        config, transform = self.config[stream], self.config["transform"]
        width, height = config["size"]
        rows = np.full((height * 3 // 2 if config["format"] == "YUV420" else height, config["stride"]), 255, np.uint8)
        if config["format"] == "YUV420":
            light = np.where(np.arange(width) < width // 2, 100, 200)[:: -1 if transform.hflip else 1]
            rows[:height, :width] = light
            rows[height:] = 128
            return rows
        channels = CHANNELS[config["format"]]
        pixels = np.full((height, width, channels), 255, np.uint8)
        bgr = gradient(width, height)[:: -1 if transform.vflip else 1, :: -1 if transform.hflip else 1]
        pixels[..., :3] = bgr if "RGB" in config["format"] else bgr[..., ::-1]
        rows[:, : width * channels] = pixels.reshape(height, -1)
        return rows

    def release(self) -> None:
        assert self.camera.buffers_in_use > 0
        self.camera.buffers_in_use -= 1


class MappedArray:
    """picamera2.MappedArray: a view of a request's memory, padding cut off but for YUV420."""

    def __init__(self, request: CompletedRequest, stream: str, reshape: bool = True, write: bool = True) -> None:
        self._request, self._stream = request, stream
        self.array: np.ndarray | None = None

    def __enter__(self) -> Self:
        config = self._request.config[self._stream]
        rows, (width, height) = self._request.buffer(self._stream), config["size"]
        channels = CHANNELS.get(config["format"])
        self.array = rows[:, : width * channels].reshape(height, width, channels) if channels else rows
        return self

    def __exit__(self, *_: object) -> None:
        if self.array is not None:
            self.array[:] = 0  # the camera writes the next picture there
            self.array = None


def gradient(width: int, height: int) -> np.ndarray:
    """(height, width, 3) BGR that differs in all corners."""
    down, across = np.mgrid[:height, :width]
    return np.stack([across % 251, down % 251, (across + 2 * down) % 251], axis=-1).astype(np.uint8)


def install_fake_picamera2(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    """Make `import picamera2` and `import libcamera` find the fakes; returns this test's own class."""
    camera = type("Picamera2", (Picamera2,), {"open_cameras": []})
    for name, content in (
        ("picamera2", {"Picamera2": camera, "MappedArray": MappedArray}),
        ("libcamera", {"Transform": Transform}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return camera
