"""Where frames come from: one protocol, and the one function that turns what the user typed into a source."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fer_edge.edge.errors import SourceError
from fer_edge.edge.types import Frame


class Source(Protocol):
    """Something that yields frames once, and is closed by `with`.

    live: pictures come at the world's pace, not ours. continuous: neighbouring frames show one scene, so faces can
    be followed. fps: nominal frames a second, None where unknown. problem: set, in one line, when not everything
    could be read although the iteration ended normally. dropped: live frames that nobody had time for. away: seconds
    since a live source was lost that is waited for, 0 while it is there.
    """

    live: bool
    continuous: bool
    name: str
    fps: float | None

    @property
    def problem(self) -> str | None: ...
    @property
    def dropped(self) -> int: ...
    @property
    def disconnected(self) -> float: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...


def open_source(
    *,
    camera: str | int | None = None,
    source: str | Path | None = None,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    rotate: int = 0,
    mirror: bool = False,
    loop: bool = False,
    silence: float = 5.0,
    reconnect_timeout: float = math.inf,
    tell: Callable[[str], None] = lambda line: None,
) -> Source:
    """Open a camera (N, /dev/…, picamera2[:N]) or a source (video, picture, folder, address, GStreamer pipeline).

    Neither given means camera 0. width, height, fps: pixels and frames a second asked of a camera, which may give
    others. rotate: 0, 90, 180 or 270 degrees clockwise; mirror: left to right, after that.
    loop: play a video as a camera would give it, at its own rate, again and again.
    silence: seconds without a picture after which a live source is lost. patience: seconds for which one that gave
    pictures before is waited for, 0 not at all. tell: takes a line when it is lost and when it is back.
    Raises SourceError.
    """
    from fer_edge.edge.sources.capture import quiet_opencv
    from fer_edge.edge.sources.capture_request import CaptureRequest
    from fer_edge.edge.sources.live_sources import LiveSourceFactory
    from fer_edge.edge.sources.redaction import redact

    camera, source = (None if given is None else str(given) for given in (camera, source))
    if camera is not None and source is not None:
        raise SourceError(f"camera {camera!r} and source {redact(source)!r} were both given; give one of them")
    if loop and (source is None or not Path(source).is_file()):
        raise SourceError(f"{redact(source or 'a camera')} cannot be played again and again; expected a video file")
    quiet_opencv()
    live = LiveSourceFactory(CaptureRequest(width, height, fps), rotate, mirror, silence, reconnect_timeout, tell)
    if source is None:
        return live.camera("0" if camera is None else camera)
    if re.match(r"/dev/(video\d+$|v4l/)", source):
        return live.camera(source)
    from fer_edge.edge.sources.stream import is_pipeline

    if "://" in source or is_pipeline(source):
        return live.stream(source)
    return live.turned(live.looped_video(Path(source)) if loop else _open_file(source))


def _open_file(source: str) -> Source:
    from fer_edge.edge.sources.pictures import SUFFIXES, PictureSource
    from fer_edge.edge.sources.redaction import redact
    from fer_edge.edge.sources.video import open_video

    path = Path(source)
    if not path.exists():
        hint = f"; for a camera use --camera {source}" if source.isdigit() else ""
        raise SourceError(f"{redact(source)}: no such file or folder{hint}")
    return PictureSource(path) if path.is_dir() or path.suffix.lower() in SUFFIXES else open_video(path)
