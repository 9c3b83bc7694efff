"""CPU time of a camera's frames from its buffers to their scores: whole pictures first, or decoded as they are used.

The buffers are JPEGs as of a webcam, or the two pictures of a Raspberry Pi camera. Both ways take turns, frame by
frame, so that slow drift affects them alike; each has a pipeline of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.clips import frames, head
from fer_edge.benchmarks.options import comma_separated, frame_size, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, identity, write
from fer_edge.benchmarks.timing import ROUNDS
from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
from fer_edge.edge.sources.dual_picture import DualPicture
from fer_edge.edge.sources.jpeg_picture import JpegStream
from fer_edge.edge.sources.picamera import small_size
from fer_edge.edge.terminal import track
from fer_edge.edge.types import Frame, Picture
from fer_edge.train.evaluation.intervals import ratio_interval

RATE = 30.0
"""Frames per second of the camera."""

SUBSAMPLING = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422
"""Of the JPEGs' chroma: most webcams halve its width only."""

Buffer = tuple[NDArray[np.uint8], ...]
"""What the camera hands over: its JPEG, or its whole BGR picture and its small I420 one."""

Content = NDArray[np.uint8] | Picture


@dataclass(frozen=True)
class Scene:
    """What a camera sees, and what its frames are used for.

    Attributes:
        name: For the table.
        faces: Number of swaying faces.
        shown: Whether every whole frame is used besides, as a window or a video does.
    """

    name: str
    faces: int
    shown: bool = False


SCENES = (Scene("one face", 1), Scene("empty room", 0), Scene("one face, in a window", 1, shown=True))


@dataclass(frozen=True)
class Camera:
    """A kind of camera: how it makes a buffer, and the two ways from there to a frame's picture.

    Attributes:
        name: For the table.
        buffer: Makes the buffer of a (H, W, 3) BGR picture; `quality` is that of JPEGs.
        whole: Makes the whole picture at once.
        as_used: Begins a stream whose pictures are decoded when they are used.
    """

    name: str
    buffer: Callable[[NDArray[np.uint8], int], Buffer]
    whole: Callable[[Buffer], NDArray[np.uint8]]
    as_used: Callable[[], Callable[[Buffer], Content]]


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> Buffer:
    words = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLING)
    return (np.asarray(cv2.imencode(".jpg", pixels, words)[1], np.uint8),)


def _jpeg_stream() -> Callable[[Buffer], Content]:
    stream = JpegStream("camera")

    def picture(buffer: Buffer) -> Content:
        made = stream.picture(buffer[0].tobytes())
        assert made is not None
        return made

    return picture


def _two_pictures(pixels: NDArray[np.uint8], quality: int) -> Buffer:
    size = small_size(pixels.shape[1], pixels.shape[0])
    if size is None:
        return (pixels,)
    luma, red, blue = cv2.split(cv2.cvtColor(cv2.resize(pixels, size), cv2.COLOR_BGR2YCrCb))
    half = size[0] // 2, size[1] // 2
    planes = (luma, *(cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (blue, red)))
    return pixels, np.concatenate([np.ravel(plane) for plane in planes]).reshape(-1, size[0])


def _dual(buffer: Buffer) -> Content:
    pixels = buffer[0].copy()
    if len(buffer) == 1:
        return pixels
    yuv = buffer[1].copy()
    return DualPicture(pixels, yuv, (yuv.shape[1], yuv.shape[0] * 2 // 3))


CAMERAS = {
    "mjpg": Camera(
        "Motion JPEG",
        _jpeg,
        lambda buffer: np.asarray(cv2.imdecode(buffer[0], cv2.IMREAD_COLOR), np.uint8),
        _jpeg_stream,
    ),
    "libcamera": Camera("libcamera, two streams", _two_pictures, lambda buffer: buffer[0].copy(), lambda: _dual),
}


def _camera(name: str) -> Camera:
    if name not in CAMERAS:
        raise ValueError
    return CAMERAS[name]


@click.command(cls=RecordedCommand)
@click.argument("model", default="mobilenet_v2", metavar="[MODEL]")
@click.option(
    "--cameras",
    default="mjpg,libcamera",
    metavar="NAME,NAME",
    callback=comma_separated(_camera, " or ".join(CAMERAS)),
    help="Kinds of cameras.",
)
@click.option(
    "--sizes",
    default="640x480,1280x720,1920x1080",
    metavar="WxH,WxH…",
    callback=comma_separated(frame_size, "WxH from 64"),
    help="Width and height of a frame, pixels.",
)
@click.option(
    "--frames",
    "count",
    cls=Option,
    type=IntRange(2 * ROUNDS),
    default=150,
    metavar="N",
    help="Frames of each case.",
)
@click.option("--quality", type=IntRange(1, 100), default=80, metavar="N", help="Quality of the JPEGs.")
@result_file
def capture(
    model: str,
    cameras: tuple[Camera, ...],
    sizes: tuple[tuple[int, int], ...],
    count: int,
    quality: int,
    out: Path | None,
) -> None:
    """Measure the CPU time of a camera's frames with MODEL: from its buffers to scores, on one thread.

    Frames are made from whole pictures first, then from pictures that are decoded as they are used.
    """
    described, before = identity(model), condition()
    cv2.setNumThreads(1)
    cases = list(product(cameras, sizes, SCENES))
    rows = [{**described, **_measure(model, *case, count, quality)} for case in track(cases, "cases", len(cases))]
    body = {"frames": count, "quality": quality, "before": before, "after": condition(), "rows": rows}
    path = write("capture", body, out)
    for row in rows:
        low, high = row["ratio_interval"]
        click.echo(
            f"{row['camera']}, {row['width']}x{row['height']}, {row['scene']}: {row['whole_ms']:.2f} CPU ms per frame "
            f"from whole pictures, {row['as_used_ms']:.2f} as used ({row['ratio']:.2f}x [{low:.2f}, {high:.2f}]); "
            f"pixels alone {row['pixels_ms'][0]:.2f} and {row['pixels_ms'][1]:.2f}"
        )
    click.echo(f"wrote {path}", err=True)


def _measure(
    model: str, camera: Camera, size: tuple[int, int], scene: Scene, count: int, quality: int
) -> dict[str, Any]:
    """A case's row: CPU milliseconds per frame of both ways, and how many of them made pixels."""
    options = replace(PipelineOptions(), model=model, threads=1)
    pipelines = [open_pipeline(options, continuous=True) for _ in range(2)]
    makers: list[Callable[[Buffer], Content]] = [camera.whole, camera.as_used()]
    times = np.zeros((2, 2, count))  # by way; all, pixels; by frame
    found, size_sum = np.zeros(2), 0
    for index, pixels in enumerate(frames(_head(), count, scene.faces, *size)):
        buffer = camera.buffer(pixels, quality)
        size_sum += buffer[0].size
        for way in (0, 1) if index % 2 else (1, 0):
            start = time.process_time()
            content = makers[way](buffer)
            timed = None if isinstance(content, np.ndarray) else _TimedPicture(content)
            made = time.process_time()
            frame = Frame(content if timed is None else timed, index, index / RATE)
            found[way] += len(pipelines[way].process(frame))
            if scene.shown:
                frame.pixels.copy()
            times[way, :, index] = time.process_time() - start, made - start + (timed.seconds if timed else 0.0)
    times *= 1000
    rounds = [[float(np.mean(part)) for part in np.array_split(all_[1:], ROUNDS)] for all_, _ in times]  # warmed up
    low, high = ratio_interval(rounds[1], rounds[0], paired=True)
    whole, as_used = (float(np.median(each)) for each in rounds)
    return {
        "camera": camera.name,
        "width": size[0],
        "height": size[1],
        "scene": scene.name,
        "buffer_kb": round(size_sum / count / 1000, 1),
        "faces_found": [round(float(each) / count, 3) for each in found],
        "whole_ms": round(whole, 4),
        "as_used_ms": round(as_used, 4),
        "pixels_ms": [round(float(np.mean(pixels)), 4) for _, pixels in times],
        "ratio": round(as_used / whole, 4),
        "ratio_interval": [round(low, 4), round(high, 4)],
    }


class _TimedPicture:
    """A picture, and the CPU seconds that its pixels took."""

    def __init__(self, picture: Picture) -> None:
        self._picture, self.size = picture, picture.size
        self.seconds = 0.0

    def at_width(self, width: int, colour: bool) -> NDArray[np.uint8]:
        start = time.process_time()
        pixels = self._picture.at_width(width, colour)
        self.seconds += time.process_time() - start
        return pixels

    def prepare(self) -> None:
        self._picture.prepare()


@cache
def _head() -> NDArray[np.uint8]:
    return head()
