"""The newest frame of a live source, read by a thread so that slow inference never works on stale frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.base_source import SourceWrapper
from fer_edge.edge.types import Frame, Source


class NewestFrameReader(SourceWrapper):
    """A live source whose thread reads on and keeps one frame, the newest.

    `dropped` counts the frames replaced before anybody took them, from the first `iter` on. Iterating raises
    SourceError when the source fails, or when it gives nothing for `frame_timeout` seconds while it is connected. Only
    the thread touches the source, and it closes it too: releasing a capture under another thread's read crashes OpenCV.
    While its user is busy with another frame, the thread also decodes the newest one, so that both work in parallel.
    """

    def __init__(self, source: Source, frame_timeout: float = 5.0) -> None:
        super().__init__(source)
        self.live = True
        self._frame_timeout = frame_timeout
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._ended = self._closing = self._awaited = False
        self._error: SourceError | None = None
        self._thread = threading.Thread(target=self._read, name=f"reader of {self.name}", daemon=True)
        self._thread.start()

    @classmethod
    def start(cls, source: Source, frame_timeout: float = 5.0) -> Self:
        """Make a reader and wait for its first frame.

        Args:
            source: The live source, which the reader owns from now on.
            frame_timeout: Seconds without a frame after which the source counts as silent.

        Returns:
            The reader, which holds a frame.

        Raises:
            SourceError: The source gave no frame within `frame_timeout` seconds, ended or failed.
        """
        reader = cls(source, frame_timeout)
        try:
            with reader._changed:
                reader._wait()
                if reader._frame is None:
                    raise reader._error or SourceError(f"{reader.name} ended before its first picture")
        except BaseException:
            reader.close()
            raise
        return reader

    @property
    def dropped(self) -> int:
        return self._dropped + self._source.dropped

    def __iter__(self) -> Iterator[Frame]:
        with self._changed:
            self._dropped = 0  # frames that passed while models were loading do not count
        while True:
            with self._changed:
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

    def _wait(self) -> None:
        """Under the lock: return with a frame or at the end, or raise after `frame_timeout` seconds of neither."""
        self._awaited = True
        while not self._changed.wait_for(
            lambda: self._frame is not None or self._ended or self._closing, self._frame_timeout
        ):
            if not self.disconnected:
                raise SourceError(f"{self.name} gave no picture for {self._frame_timeout:g} s; is it still connected?")
        self._awaited = False

    def _read(self) -> None:
        error: SourceError | None = None
        try:
            for frame in self._source:
                with self._changed:
                    self._dropped += self._frame is not None
                    self._frame, awaited = frame, self._awaited
                    self._changed.notify_all()
                    if self._closing:
                        break
                if not awaited:  # else the thread that waits for it decodes it, just as it needs it
                    frame.prepare()
        except SourceError as failure:
            error = failure
        except Exception as failure:  # it must reach the thread that waits, which would wait forever
            error = SourceError(f"{self.name} failed: {failure}")
        try:
            self._source.close()
        finally:
            with self._changed:
                self._error, self._ended = error, True
                self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._source.stop()

    def close(self) -> None:
        """Stop the thread; one that hangs in the driver is left behind, as a daemon, after a second."""
        self.stop()
        self._thread.join(1.0)
