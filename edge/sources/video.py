"""A recorded video: every frame, with its media time."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.sources import container, deinterlaced
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.capture import decode_next, open_capture, retrieve_pixels
from fer_edge.edge.sources.media_clock import DEFAULT_RATE, MediaClock, measured_rate, usual_rate
from fer_edge.edge.sources.picture_header import MAX_PIXELS, check_size
from fer_edge.edge.sources.pipe import open_pipe
from fer_edge.edge.sources.rotated import ROTATIONS, rotate_picture
from fer_edge.edge.sources.sampler import Sampler
from fer_edge.edge.types import Frame

COMPLETE_SHARE = 0.98
"""Share of the header's frame count and duration from which a video counts as complete: encoders round both."""

BLACK_SHARE = 0.001
"""Share of nonzero values that a black frame may have, as one that OpenCV's FFmpeg could not convert has some."""

RATE_FRAMES = 50
"""Frames whose time stamps give the rate where the header has none."""

FEW_FRAMES = 3
"""Frames that show whether a video has time stamps; the very first one's is 0 in any case."""

INVISIBLE_PACKETS = 1.2
"""Packets per visible frame that are no sign of damage: VP8 and VP9 have references that are never shown."""

EMPTY_MESSAGE = "holds no picture that can be decoded"


@dataclass(frozen=True)
class Header:
    """What a capture says of its video.

    Attributes:
        rate: Frames per second; 0 where unknown. It may be the container's clock.
        frames: Number of frames; 0 where unknown.
        rotation: Degrees clockwise by which the frames are to be shown.
        stamped: Whether frames have time stamps; FFmpeg's filters make some up for a raw stream, at twice the rate.
    """

    rate: float
    frames: int
    rotation: int
    stamped: bool = True

    @property
    def duration(self) -> float:
        """Seconds; 0 where unknown."""
        return self.frames / self.rate if self.rate else 0.0


def read_header(capture: cv2.VideoCapture) -> Header:
    """Read the header of an opened capture, which from then on leaves the rotation to others.

    What is no sensible number is unknown. OpenCV 4.11 does not rotate by itself, all other versions do.
    """
    rate, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    rotation = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    return Header(
        rate if 0 < rate < math.inf else 0.0,
        int(frames) if 0 < frames < 1e12 else 0,
        rotation if rotation in ROTATIONS else 0,
    )


def open_video(path: Path, max_pixels: int = MAX_PIXELS) -> Video:
    """Open a video file.

    Args:
        path: A file in any format that OpenCV's FFmpeg reads, or a pipe with such a file.
        max_pixels: Largest width times height of a frame.

    Returns:
        The opened video.

    Raises:
        SourceError: The file cannot be read, is no video or has larger frames, or the pipe has no writer.
    """
    name = printable(path)
    with ExitStack() as failing:
        pipe = open_pipe(path) if _is_pipe(path) else None
        if pipe is not None:
            failing.callback(os.close, pipe)
        capture = open_capture(path if pipe is None else f"pipe:{pipe}", cv2.CAP_FFMPEG)
        if capture is None:
            raise SourceError(f"{name} is not a readable video (an MP4 cut off while it was written is not)")
        failing.callback(capture.release)
        width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        check_size(width, height, path, max_pixels)
        failing.pop_all()
    if pipe is not None:
        return Video(capture, name, EMPTY_MESSAGE, pipe=pipe)
    if not deinterlaced.must_be_filtered():
        return Video(capture, name, EMPTY_MESSAGE, path)
    header = read_header(capture)
    filtered = deinterlaced.open_filtered(path, deinterlaced.read_first(capture)[1])
    header = replace(header, stamped=_has_stamps(capture))
    capture.release()
    if filtered is not None:
        return Video(filtered, name, EMPTY_MESSAGE, path, header)
    again = open_capture(path, cv2.CAP_FFMPEG)  # the first frame was read
    if again is None:
        raise SourceError(f"{name} could be opened once, but not again")
    return Video(again, name, EMPTY_MESSAGE, path)


def _is_pipe(path: Path) -> bool:
    """Whether the path is a pipe, rather than an ordinary file; SourceError where it is neither or cannot be read."""
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")
    if stat.S_ISFIFO(status.st_mode):
        return True
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path} is neither a file nor a pipe; expected a video")
    if status.st_size == 0:
        raise SourceError(f"{path} is empty; expected a video")
    return False


class Video(BaseSource):
    """An opened recording; `Frame.time` is the frame's media time in seconds.

    A recording that is cut off in mid-stream, or all black, ends normally, with `problem` set. Iterating raises
    SourceError where it has no picture, or interlaced ones that this OpenCV cannot read.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        name: str,
        empty_message: str,
        path: Path | None = None,
        header: Header | None = None,
        pipe: int | None = None,
        read_start: Callable[[], bytes] | None = None,
    ) -> None:
        """Wrap an opened capture.

        Args:
            capture: The opened capture, which the video owns from now on.
            name: The file or address, without passwords.
            empty_message: What follows the name in the SourceError for a recording without any picture.
            path: The file, where it is one that can be opened again.
            header: That of the file where the capture is filtered; None to read that of the capture.
            pipe: The descriptor that the capture reads from, which the video owns from now on.
            read_start: Reads the start of a recording that is no file, with its index; may raise SourceError.
        """
        self._pipe, self._read_start = pipe, read_start
        self._capture, self.name, self._empty_message, self._path = capture, name, empty_message, path
        self._header = header or read_header(capture)
        self.fps = usual_rate(self._header.rate) or (None if path is None else _measure_rate(path))

    def __iter__(self) -> Iterator[Frame]:
        return self.sampled(0.0)

    def sampled(self, interval: float) -> Iterator[Frame]:
        """Iterate over some of the frames; the others are decoded, as those after them need it, and not converted.

        Args:
            interval: Seconds, see `Sampler`.

        Yields:
            The frames.

        Raises:
            SourceError: As iterating over all frames does.
        """
        index, time, black, sampler = 0, 0.0, True, Sampler(interval)
        clock = MediaClock(self.fps)
        pixels, interlaced = deinterlaced.read_first(self._capture)
        if interlaced:
            raise deinterlaced.interlaced_error(self.name)
        decoded = pixels is not None
        while decoded:
            time = clock.time(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._header.stamped else 0.0)
            if sampler.takes(time):
                pixels = retrieve_pixels(self._capture) if pixels is None else pixels
                if pixels is None:
                    break
                black = black and bool(np.count_nonzero(pixels) < BLACK_SHARE * pixels.size)  # up to the first picture
                yield Frame(rotate_picture(pixels, self._header.rotation, False), index, time)
                pixels = None
            index += 1
            decoded = decode_next(self._capture)
        if index == 0:
            raise SourceError(f"{self.name} {self._empty_message}")
        self._problem = self._find_shortfall(index, time) or (self._describe_black(index) if black else None)

    def _find_shortfall(self, frames: int, last: float) -> str | None:
        """What is missing of the video after so many frames, the last one at so many seconds; None if nothing is.

        Both frames and time must be missing: with a variable rate the header's count is a guess. And what the header
        says of most formats is the longest stream's length, which may be the sound's.
        """
        path, step = self._path, 1 / (self.fps or DEFAULT_RATE)
        if path is not None and container.ends_in_mid_packet(path):
            return f"{self.name} is cut off: its last packet is incomplete; {frames} frames could be read"
        if frames >= COMPLETE_SHARE * self._header.frames - 1:
            return None
        presented = self._presented_frames()
        expected = presented or self._header.frames
        if frames >= COMPLETE_SHARE * expected - 1:
            return None
        if presented is None:
            if last + step >= COMPLETE_SHARE * self._header.duration - step:
                return None
            if path is not None and container.lacks_its_end(path) is False and _all_packets_decoded(path, frames):
                return None
        return f"{self.name} is cut off or damaged: only {frames} of {expected} frames could be read"

    def _presented_frames(self) -> int | None:
        with suppress(OSError, SourceError):
            if self._path is not None:
                with open(self._path, "rb") as file:
                    return container.presented_frames(file)
            if self._read_start is not None:
                return container.presented_frames(BytesIO(self._read_start()))
        return None

    def _describe_black(self, frames: int) -> str:
        return f"{self.name} is black in all of its {frames} frames; can another player show it?"

    def close(self) -> None:
        self._capture.release()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def _has_stamps(capture: cv2.VideoCapture) -> bool:
    """Whether one of the next frames of a plain capture has a time stamp, or there is none."""
    frames = 0
    while frames < FEW_FRAMES and capture.grab():
        if capture.get(cv2.CAP_PROP_POS_MSEC) > 0:
            return True
        frames += 1
    return not frames


def _measure_rate(path: Path) -> float | None:
    """The frame rate of a file by the time stamps of its first frames; None where they have none."""
    capture = open_capture(path, cv2.CAP_FFMPEG)
    if capture is None:
        return None
    stamps: list[float] = []
    while len(stamps) < RATE_FRAMES and capture.grab():
        stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return measured_rate(stamps)


def _all_packets_decoded(path: Path, frames: int) -> bool:
    """Whether so many frames are all that a file's video stream holds; nothing is decoded for it."""
    capture = open_capture(path, cv2.CAP_FFMPEG)
    if capture is None or not capture.set(cv2.CAP_PROP_FORMAT, -1):
        return False
    packets = 0
    while capture.grab():
        packets += 1
    capture.release()
    return packets <= INVISIBLE_PACKETS * frames + 1
