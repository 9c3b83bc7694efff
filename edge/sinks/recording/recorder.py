"""Pictures to video files: an encoder, and one container after the other."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.recording.avi import Avi
from fer_edge.edge.sinks.recording.encoder import open_encoder
from fer_edge.edge.sinks.recording.matroska import Matroska
from fer_edge.edge.sinks.recording.mp4 import Mp4
from fer_edge.edge.sinks.recording.part_file import PartFile
from fer_edge.edge.sinks.recording.stream import Container, Packet, StreamInfo


@dataclass(frozen=True)
class Format:
    """What is written for a suffix."""

    container: Callable[[PartFile, StreamInfo], Container]
    codec: str


_MP4, _AVI = Format(Mp4, "mpeg4"), Format(Avi, "mjpeg")
FORMATS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4,
    ".mkv": Format(Matroska, "mpeg4"),
    ".webm": Format(Matroska, "vp8"),
    ".avi": _AVI,
}
"""VP8 plays in browsers, and takes some fifteen times as long as MPEG-4; H.264 is in no OpenCV of PyPI."""


class Recorder:
    """Writes pictures to a file that plays up to the last one, whatever ends the program.

    Args:
        path: The file's name; its suffix is one of FORMATS.
        file: That file, for the first segment.
        size: Width and height, pixels, even.
        rate: Pictures per second.
        segment: Seconds after which a new file begins, with the next key picture; None for one file.

    Raises:
        SinkError: This OpenCV cannot encode the format.
    """

    def __init__(
        self, path: Path, file: PartFile, size: tuple[int, int], rate: float, segment: float | None = None
    ) -> None:
        self._path, self._file = path, file
        self._format = FORMATS[path.suffix.lower()]
        self._info = StreamInfo(self._format.codec, *size, rate)
        self._segment_length = None if segment is None else max(1, round(segment * rate))
        self._container: Container | None = None
        self._numbers: deque[int] = deque()  # of the pictures that are being encoded
        self._first = self._in_file = self.written = 0
        self._begun = datetime.now()
        self._failed = False
        self._encoder = open_encoder(self._info, self._handle, file.path.parent)

    def write(self, picture: NDArray[np.uint8], number: int) -> None:
        """Write one picture.

        Args:
            picture: (H, W, 3) uint8 BGR.
            number: When it is shown, in pictures of the constant rate; each one is shown until the next.

        Raises:
            SinkError: It, or one before it, cannot be written.
        """
        self._numbers.append(number)
        self._encoder.encode(picture)

    def _handle(self, packet: Packet) -> None:
        """Write a packet; in the encoder's thread."""
        number = self._numbers.popleft()
        if self._segment_length is not None and packet.key and number - self._first >= self._segment_length:
            self._finish_file()
            self._file = PartFile(self._path)
        if self._container is None:
            self._container, self._begun = self._format.container(self._file, self._info), datetime.now()
            self._first = number
        try:
            self._container.write(packet, number - self._first)
        except OSError as error:
            self._failed = True
            raise SinkError(f"{self._path} cannot be written: {_cause(error)}; {self._what_is_kept()}") from None
        self._in_file += 1
        self.written += 1

    def _what_is_kept(self) -> str:
        if not self.written:
            return "nothing was recorded"
        kept = f"the {self.written} pictures before it are kept"
        return f"{kept} in {self._file.path.name}, and the file that is there, too" if self._keeps_old() else kept

    def _keeps_old(self) -> bool:
        """Whether an earlier recording stays, because the new one is not whole."""
        return self._failed and self._segment_length is None and self._file.target.exists() and self._in_file > 0

    def _finish_file(self) -> None:
        """Publish what is in the file, or remove it if nothing is."""
        keeps_old = self._keeps_old()
        container, pictures, self._container, self._in_file = self._container, self._in_file, None, 0
        if container is None or pictures == 0:
            self._file.discard()
            return
        with suppress(OSError):  # no room for the index: it plays without it
            container.finish()
        if keeps_old:
            self._file.leave()
        else:
            target = self._file.target
            self._file.publish(target if self._segment_length is None else _segment_name(target, self._begun))

    def close(self) -> None:
        """Finish the file; SinkError if a picture could not be written."""
        try:
            self._encoder.close()
        finally:
            self._finish_file()


def _segment_name(path: Path, begun: datetime) -> Path:
    """NAME-20260131-174502-123.SUFFIX by the local time at which it began; never that of a file that is there."""
    milliseconds = begun.microsecond // 1000
    while True:
        name = f"{path.stem}-{begun:%Y%m%d-%H%M%S}-{milliseconds:03d}{path.suffix}"
        if not path.with_name(name).exists():
            return path.with_name(name)
        milliseconds += 1


def _cause(error: OSError) -> str:
    text = error.strerror or str(error)
    if error.errno == errno.EFBIG:
        return f"{text} (a limit of the file system or of ulimit; --save-video-segment MINUTES begins new files)"
    return text
