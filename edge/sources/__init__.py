"""Where frames come from: one protocol, and the one function that turns what the user typed into a source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.options import SourceOptions
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
    """
    from fer_edge.edge.sources.capture import quiet_opencv
    from fer_edge.edge.sources.live_sources import LiveSourceFactory
    from fer_edge.edge.sources.redaction import redact

    options = options or SourceOptions()
    if camera is not None:
        options = replace(options, camera=str(camera))
    if source is not None:
        options = replace(options, source=str(source))
    if options.camera is not None and options.source is not None:
        told = f"camera {options.camera!r} and source {redact(options.source)!r}"
        raise SourceError(f"{told} were both given; give one of them")
    if options.loop and (options.source is None or not Path(options.source).is_file()):
        what = redact(options.source or "a camera")
        raise SourceError(f"{what} cannot be played again and again; expected a video file")
    quiet_opencv()
    live = LiveSourceFactory(options)
    if options.source is None:
        return live.camera(options.camera or "0")
    if re.match(r"/dev/(video\d+$|v4l/)", options.source):
        return live.camera(options.source)
    from fer_edge.edge.sources.stream import is_pipeline

    if "://" in options.source or is_pipeline(options.source):
        return live.stream(options.source)
    return live.rotated(live.looped_video(Path(options.source)) if options.loop else _open_file(options.source))


def _open_file(source: str) -> Source:
    from fer_edge.edge.sources.pictures import SUFFIXES, PictureSource
    from fer_edge.edge.sources.redaction import redact
    from fer_edge.edge.sources.video import open_video

    path = Path(source)
    if not path.exists():
        hint = f"; for a camera use --camera {source}" if source.isdigit() else ""
        raise SourceError(f"{redact(source)}: no such file or folder{hint}")
    return PictureSource(path) if path.is_dir() or path.suffix.lower() in SUFFIXES else open_video(path)
