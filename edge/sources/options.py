"""The options of a source, on the command line, in the configuration file and in the environment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.sources.picture_header import MAX_PIXELS, OPENCV_MAX_PIXELS
from fer_edge.edge.types import CheckedOptions, option


@dataclass(frozen=True)
class SourceOptions(CheckedOptions):
    """Which camera, stream, video or pictures to read, and how; camera 0 where neither camera nor source is given."""

    camera: str | None = option(
        None,
        "Camera to open: a number, a /dev/… path or picamera2[:N]; 'fer-edge cameras' lists them.",
        metavar="CAMERA",
        show_default="0 without --source",
        example="0",
    )
    source: str | None = option(
        None,
        "Video, picture, folder of pictures, stream URL or GStreamer pipeline to read instead of a camera.",
        metavar="SOURCE",
        example="party.mp4",
    )
    recursive: bool = option(False, "Read the pictures in sub-folders of a folder, too.")
    max_pixels: int = option(
        MAX_PIXELS,
        "Largest picture to decode, width times height in pixels; each takes 3 bytes of memory.",
        metavar="PIXELS",
        minimum=1,
        maximum=OPENCV_MAX_PIXELS,
    )
    source_ca: Path | None = option(
        None,
        "File of CA certificates to trust for https and rtsps sources.",
        metavar="PATH",
        show_default="the system's",
        example="/etc/ssl/certs/camera.pem",
    )
    source_insecure: bool = option(False, "Accept any certificate of an https or rtsps source.")
    loop: bool = option(False, "Play a video in a loop at its own frame rate, as a live source.")
    width: int | None = option(
        None,
        "Frame width to request from the camera, pixels.",
        metavar="PIXELS",
        minimum=1,
        maximum=32767,
        example=640,
    )
    height: int | None = option(
        None,
        "Frame height to request from the camera, pixels.",
        metavar="PIXELS",
        minimum=1,
        maximum=32767,
        example=480,
    )
    fps: float | None = option(
        None,
        "Frame rate to request from the camera, or rate at which a still picture is requested, frames per second.",
        metavar="FPS",
        minimum=0.001,
        maximum=1000,
        example=15,
    )
    rotate: int = option(0, "Rotate frames clockwise, degrees.", choices=("0", "90", "180", "270"))
    mirror: bool = option(False, "Mirror frames left to right, after --rotate.")
    reconnect_timeout: float = option(
        math.inf,
        "Seconds to keep reconnecting to a lost camera or stream; 0 ends the run at once.",
        metavar="SECONDS",
        minimum=0,
        show_default="no limit",
    )
    frame_timeout: float = option(
        5.0,
        "Seconds without a frame after which a live source counts as lost.",
        minimum=0,
        open_minimum=True,
        cli=False,
    )
