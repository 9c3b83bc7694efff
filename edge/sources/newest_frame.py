"""The newest picture of a live source, read by a thread so that slow inference never looks at stale ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.types import Frame

if TYPE_CHECKING:
    from fer_edge.edge.sources import Source


class NewestFrameReader(BaseSource):
    """A live source whose thread reads on and keeps one frame, the newest.

    dropped: frames replaced before anybody took them, counted from the first `iter`. Iterating raises SourceError
    when the source fails, or gives nothing for `frame_timeout` seconds without being away. Only the thread touches the
    source, and it closes it too: releasing a capture under another thread's read crashes OpenCV.
    """

    live = True

    def __init__(self, source: Source, frame_timeout: float = 5.0) -> None:
        self.name, self.fps, self.continuous = source.name, source.fps, source.continuous
        self._source, self._frame_timeout = source, frame_timeout
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._ended = self._closing = False
        self._error: SourceError | None = None
        self._thread = threading.Thread(target=self._read, name=f"reader of {self.name}", daemon=True)
        self._thread.start()

    @classmethod
    def started(cls, source: Source, frame_timeout: float = 5.0) -> Self:
        """A reader that has its first picture; SourceError when none comes in `frame_timeout` s."""
        latest = cls(source, frame_timeout)
        try:
            with latest._news:
                latest._wait()
                if latest._frame is None:
                    raise latest._error or SourceError(f"{latest.name} ended before its first picture")
        except BaseException:
            latest.close()
            raise
        return latest

    def __iter__(self) -> Iterator[Frame]:
        with self._news:
            self.dropped = 0  # what passed by while models were loading is nobody's loss
        while True:
            with self._news:
                self._wait()
                if self._closing:
                    return
                frame, self._frame = self._frame, None
            if frame is not None:
                yield frame
            elif self._error is not None:
                raise self._error
            else:
                return

    @property
    def disconnected(self) -> float:  # type: ignore[override]
        return self._source.disconnected

    def _wait(self) -> None:
        """Under the lock: return with a frame or at the end, or raise after `frame_timeout` seconds of neither."""
        while not self._news.wait_for(
            lambda: self._frame is not None or self._ended or self._closing, self._frame_timeout
        ):
            if not self.disconnected:
                raise SourceError(f"{self.name} gave no picture for {self._frame_timeout:g} s; is it still connected?")

    def _read(self) -> None:
        error: SourceError | None = None
        try:
            for frame in self._source:
                with self._news:
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._news.notify_all()
                    if self._closing:
                        break
        except SourceError as told:
            error = told
        except Exception as told:  # it must reach the thread that waits, or that one waits for nothing
            error = SourceError(f"{self.name} failed: {told}")
        try:
            self._source.close()
        finally:
            with self._news:
                self._error, self.problem, self._ended = error, self._source.problem, True
                self._news.notify_all()

    def stop(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._source.stop()

    def close(self) -> None:
        """Stop the thread; one that hangs in the driver is left behind, as a daemon, after a second."""
        self.stop()
        self._thread.join(1.0)
