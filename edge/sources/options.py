"""What a source can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fer_edge.edge.types import option


@dataclass(frozen=True)
class SourceOptions:
    """Which camera, stream, video or pictures to read, and how; camera 0 where neither camera nor source is given."""

    camera: str | None = option(
        None, "N, /dev/… or picamera2[:N]; 0 without --source; see fer-edge cameras.", metavar="C", example="0"
    )
    source: str | None = option(
        None, "Video, picture, folder of pictures, URL, GStreamer pipeline.", metavar="S", example="party.mp4"
    )
    loop: bool = option(False, "Play a video as a camera would: at its own rate, again and again.")
    width: int | None = option(None, "Width to request from the camera, pixels.", minimum=1, example=640)
    height: int | None = option(None, "Height to request from the camera, pixels.", minimum=1, example=480)
    fps: float | None = option(
        None, "Frame rate to request from the camera, frames/s.", minimum=0, open_minimum=True, example=15
    )
    rotate: int = option(0, "Rotation, degrees clockwise.", choices=("0", "90", "180", "270"))
    mirror: bool = option(False, "Flip left to right, after --rotate.")
    reconnect_timeout: float = option(
        math.inf,
        "Seconds to try to reconnect to a camera or stream that was lost; 0 ends at once.",
        minimum=0,
        show_default="no limit",
    )
    frame_timeout: float = option(5.0, "Seconds without a frame after which a live source is lost.", cli=False)
