"""Where frames come from: cameras, streams, videos and pictures, and the one function that opens them."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.files.paths import local_path
from fer_edge.edge.types import Source, as_text, expect

if TYPE_CHECKING:
    from fer_edge.edge.sources.options import SourceOptions


SOMETIMES_VIDEO = (".gif", ".avif")
"""Suffixes of pictures that some builds of OpenCV read only as videos."""


def open_source(
    options: SourceOptions | None = None, *, camera: str | int | None = None, source: str | Path | None = None
) -> Source:
    """Open a camera (N, /dev/…, picamera2[:N]) or a source (video, picture, folder, URL, GStreamer pipeline).

    Args:
        options: What to open and how; camera 0 where neither a camera nor a source is named.
        camera: Takes the place of `options.camera`.
        source: Takes the place of `options.source`.

    Returns:
        The opened source. A live one keeps only its newest frame and reconnects when it is lost, which the logger
        `fer_edge.edge.sources` reports.

    Raises:
        SourceError: There is no such source, it gives no picture, or options exclude each other.
        ConfigError: An option has a value that it does not take.
        DataError: An argument is of another type.
    """
    from fer_edge.edge.sources.capture import quiet_opencv
    from fer_edge.edge.sources.live_sources import LiveSourceFactory
    from fer_edge.edge.sources.options import SourceOptions

    options = expect(options or SourceOptions(), SourceOptions, "its fields are the options")
    if camera is not None:
        options = replace(options, camera=str(camera))
    if source is not None:
        options = replace(options, source=as_text(source))
    if options.source is not None:
        options = replace(options, source=local_path(options.source))
    if options.camera == "":
        raise SourceError("the camera is empty, expected a number, /dev/… or picamera2; is a variable not set?")
    if options.source == "":
        raise SourceError("the source is empty, expected a video, picture, folder or address; is a variable not set?")
    if options.camera is not None and options.source is not None:
        both = f"camera {redact(options.camera)!r} and source {redact(options.source)!r}"
        raise SourceError(f"{both} were both given; give one of them")
    if options.loop and (options.source is None or not Path(options.source).is_file()):
        what = redact(options.source or "a camera")
        raise SourceError(f"{what} cannot be looped; expected a video file")
    quiet_opencv()
    live = LiveSourceFactory(options)
    if options.source is None:
        return live.open_camera(options.camera or "0")
    if re.match(r"/dev/(video\d+$|v4l/)", options.source):
        return live.open_camera(options.source)
    from fer_edge.edge.sources.stream import is_pipeline

    if "://" in options.source or is_pipeline(options.source):
        return live.open_stream(options.source)
    if options.loop:
        return live.open_looped_video(Path(options.source))
    return live.rotate(_open_file(Path(options.source), options))


def _open_file(path: Path, options: SourceOptions) -> Source:
    from fer_edge.edge.sources.picture_files import SUFFIXES, begins_as_picture, holds_animation
    from fer_edge.edge.sources.pictures import PictureSource
    from fer_edge.edge.sources.video import open_video

    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, ValueError):  # a name with a zero byte
        hint = f"; for a camera use --camera {path}" if str(path).isdigit() else ""
        raise SourceError(f"{redact(str(path))}: no such file or folder{hint}") from None
    except OSError as error:
        raise SourceError(f"{redact(str(path))} cannot be read: {error.strerror}") from None
    suffix = path.suffix.lower()
    is_picture = stat.S_ISDIR(mode) or suffix in SUFFIXES
    if stat.S_ISREG(mode) and (is_picture or not suffix):
        unreadable = not begins_as_picture(path) and suffix in ("", *SOMETIMES_VIDEO)
        is_picture = not unreadable and not holds_animation(path)
    if is_picture:
        return PictureSource(path, options.recursive, options.max_pixels)
    return open_video(path, options.max_pixels)
