"""Where frames come from: one protocol, and the one function that turns what the user typed into a source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fer_edge.edge.errors import SourceError
from fer_edge.edge.types import Frame


class Source(Protocol):
    """Something that yields frames once, and is closed by `with`.

    live: pictures come at the world's pace, not ours. continuous: neighbouring frames show one scene, so faces can
    be followed. fps: nominal frames a second, None where unknown. problem: set, in one line, when not everything
    could be read although the iteration ended normally. dropped: live frames that nobody had time for.
    """

    live: bool
    continuous: bool
    name: str
    fps: float | None
    problem: str | None
    dropped: int

    def __iter__(self) -> Iterator[Frame]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def close(self) -> None: ...


def open_source(
    camera: str | None = None,
    source: str | None = None,
    width: int | None = None,
    height: int | None = None,
    patience: float = 5.0,
) -> Source:
    """Open a camera (N, /dev/videoN, picamera2[:N]) or a source (video, picture, folder, http or rtsp address).

    Neither given means camera 0. width, height: pixels asked of a camera, which may give others.
    patience: seconds without a picture after which a live source is given up. Raises SourceError.
    """
    from fer_edge.edge.sources.capture import quiet_opencv

    if camera is not None and source is not None:
        raise SourceError(f"camera {camera!r} and source {source!r} were both given; give one of them")
    quiet_opencv()
    if source is None:
        return _open_camera("0" if camera is None else camera, width, height, patience)
    if "://" in source:
        from fer_edge.edge.sources.latest import Latest
        from fer_edge.edge.sources.stream import Stream

        stream = Stream(source, patience)
        return Latest.started(stream, patience) if stream.live else stream
    if re.fullmatch(r"/dev/video\d+", source):
        return _open_camera(source, width, height, patience)
    return _open_file(source)


def _open_file(source: str) -> Source:
    from fer_edge.edge.sources.pictures import SUFFIXES, Pictures
    from fer_edge.edge.sources.video import Video

    path = Path(source)
    if not path.exists():
        hint = f"; for a camera use --camera {source}" if source.isdigit() else ""
        raise SourceError(f"{source}: no such file or folder{hint}")
    return Pictures(path) if path.is_dir() or path.suffix.lower() in SUFFIXES else Video(path)


def _open_camera(camera: str, width: int | None, height: int | None, patience: float) -> Source:
    """A numbered camera is V4L2's where that gives pictures, else libcamera's; both reasons are told if neither."""
    from fer_edge.edge.sources.camera import Camera
    from fer_edge.edge.sources.latest import Latest
    from fer_edge.edge.sources.picamera import PiCamera

    if match := re.fullmatch(r"picamera2?(?::(\d+))?", camera):
        return Latest.started(PiCamera(int(match[1] or 0), width, height), patience)
    if camera.startswith("/dev/"):
        return Latest.started(Camera(camera, width, height), patience)
    if not re.fullmatch(r"\d+", camera):
        raise SourceError(f"camera {camera!r} is not a number, /dev/videoN or picamera2[:N]")
    try:
        return Latest.started(Camera(f"/dev/video{int(camera)}", width, height), patience)
    except SourceError as v4l2:
        try:
            return Latest.started(PiCamera(int(camera), width, height), patience)
        except SourceError as libcamera:
            raise SourceError(f"camera {camera} gives no pictures: V4L2: {v4l2}; libcamera: {libcamera}") from None
