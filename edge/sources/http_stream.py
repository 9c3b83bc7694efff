"""A network camera that is read over HTTP: Motion JPEG as it comes, or a still picture again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.http_client import HttpBody, open_http
from fer_edge.edge.sources.jpeg_picture import JpegPicture, JpegStream, is_complete
from fer_edge.edge.sources.jpeg_scanner import MAX_JPEG_BYTES, JpegScanner
from fer_edge.edge.sources.network_trust import Trust
from fer_edge.edge.sources.picture_decoder import decode_picture
from fer_edge.edge.types import Frame

log = logging.getLogger(__name__)

POLL_RATE = 2.0
"""Requests per second for a still picture, unless `--fps` says otherwise."""

MAX_POLL_INTERVAL = 5.0
"""Longest time between two requests, seconds: a source without frames for longer counts as lost."""

HEAD_BYTES, MIN_HEAD_BYTES = 512, 16
"""Bytes by which a body is recognized; the second where there is a line break among them, as in a multipart stream."""

_PLAYLISTS = (b"#extm3u", b"<", b"[playlist]")
"""How HLS, DASH and other lists of addresses begin, in lower case: what they name may be live."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class OtherMedia:
    """What an address gives where it is not JPEGs or a picture: an MP4 or HLS, for example.

    Attributes:
        media_type: As the server names it.
        recording: Whether the server says how long it is, and it is no playlist: a live stream has no length.
    """

    media_type: str
    recording: bool


def open_http_source(
    address: str, timeout: float, fps: float | None, max_pixels: int, trust: Trust
) -> BaseSource | OtherMedia:
    """Open an http:// or https:// address that gives JPEGs, or one PNG.

    Args:
        address: The address.
        timeout: Seconds without a picture after which it counts as lost.
        fps: Requests per second for a still picture; None for `POLL_RATE`.
        max_pixels: Largest width times height of a picture.
        trust: Certificates that are accepted.

    Returns:
        The source; what else it is, for FFmpeg.

    Raises:
        SourceError: It cannot be opened, is a page, or gives no picture in time.
    """
    name = redact(address)
    body = open_http(address, timeout, trust)
    try:
        head = _read_head(body, name)
        text = head.lstrip().lower()
        if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
            raise SourceError(
                f"{name} cannot be opened as a stream: it is a page ({body.content_type or 'HTML'}), not a picture or "
                "stream; its documentation or source text may have the address of the stream"
            )
        still = head.startswith(_PNG) or (head.startswith(_JPEG) and body.length is not None)
        if still or (body.content_type.startswith("image/") and not head.startswith((_JPEG, b"--"))):
            pixels = _read_picture(body, head, name, max_pixels)
            body.close()
            return PolledPicture(address, pixels, timeout, fps, max_pixels, trust)
        if head.startswith(_JPEG) or head.lstrip().startswith(b"--") or body.content_type.startswith("multipart/"):
            return _open_jpegs(address, body, head, timeout, fps, max_pixels, trust)
    except BaseException:
        body.close()
        raise
    body.close()
    return OtherMedia(body.content_type, body.length is not None and not text.startswith(_PLAYLISTS))


def _read_head(body: HttpBody, name: str) -> bytes:
    head = b""
    try:
        while len(head.lstrip()) < HEAD_BYTES and (data := body.read()):
            head += data
            if head.startswith(_JPEG) or (len(head) >= MIN_HEAD_BYTES and b"\n" in head.strip()):
                break
    except TimeoutError:
        what = f"{len(head)} bytes only in" if head else "nothing for"
        cause = f"the server answers, but sent {what} {body.deadline.seconds:g} s"
        raise SourceError(f"{name} cannot be opened as a stream: {cause}") from None
    if not head:
        raise SourceError(f"{name} cannot be opened as a stream: the server's answer is empty")
    return head


def _open_jpegs(
    address: str, body: HttpBody, head: bytes, timeout: float, fps: float | None, max_pixels: int, trust: Trust
) -> BaseSource:
    """A stream of JPEGs; a still picture where there is one JPEG without a length and nothing after it."""
    stream = MjpegStream(body, head, redact(address), max_pixels)
    if head.startswith(_JPEG) and stream.ended_after_one():
        pixels = stream.first.at_width(stream.first.size[0], True)
        stream.close()
        return PolledPicture(address, pixels, timeout, fps, max_pixels, trust)
    return stream


class MjpegStream(BaseSource):
    """An opened stream of JPEGs, which are decoded when they are used.

    Parts without a JPEG and damaged JPEGs are left out, and counted in `dropped`. It ends when its sender ends it.

    Attributes:
        first: The first picture.
    """

    live = True

    def __init__(self, body: HttpBody, head: bytes, name: str, max_pixels: int) -> None:
        """Wait for the first picture.

        Args:
            body: The answer, which the stream owns from now on.
            head: What was read of it.
            name: The address, without passwords.
            max_pixels: Largest width times height of a picture.

        Raises:
            SourceError: No picture that can be decoded came in time.
        """
        self.name, self._body = name, body
        self._scanner, self._jpegs = JpegScanner(), JpegStream(name, "is it a stream of JPEGs?", max_pixels)
        self._start = time.monotonic()
        self._logged = 0
        self._pictures: Iterator[JpegPicture] = self._read(head)
        first = next((each for each in self._pictures if each.can_be_decoded()), None)
        if first is None:
            raise SourceError(f"{name} cannot be opened as a stream: it ended without a picture{self._left_out()}")
        self.first = first
        self._body.deadline.restart()

    @property
    def dropped(self) -> int:
        return self._jpegs.damaged + self._scanner.damaged + self._scanner.empty_parts

    def ended_after_one(self) -> bool:
        """Whether nothing follows the first picture; keeps the second one where there is one."""
        try:
            second = next(self._pictures, None)
        except SourceError:  # it leaves the connection open, though without a length it must close it
            return True
        if second is None:
            return True
        self._pictures = chain([second], self._pictures)
        return False

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(chain([self.first], self._pictures)):
            self._body.deadline.restart()
            yield Frame(picture, index, time.monotonic() - self._start)

    def _read(self, data: bytes) -> Iterator[JpegPicture]:
        """Every whole picture; SourceError where none comes before the deadline, which its user restarts."""
        deadline = self._body.deadline
        deadline.restart()
        try:
            while data:
                for jpeg in self._scanner.feed(data):
                    picture = self._jpegs.picture(jpeg)
                    if picture is not None:
                        yield picture
                self._log_left_out()
                deadline.remaining()  # bytes that are no picture do not count
                data = self._body.read()
        except TimeoutError:
            raise SourceError(f"{self.name} sent no picture for {deadline.seconds:g} s{self._left_out()}") from None

    def _left_out(self) -> str:
        return f", but {self.dropped} empty or damaged ones" if self.dropped else ""

    def _log_left_out(self) -> None:
        count = self._scanner.empty_parts + self._scanner.damaged
        if count >= max(1, 10 * self._logged):
            self._logged = count
            log.warning("source: %s: parts without a whole JPEG left out, %d so far", self.name, count)

    def close(self) -> None:
        self._body.close()


class PolledPicture(BaseSource):
    """A still picture that is requested again and again; a picture that never changes is a source like any other.

    A request that fails is repeated; the source is lost when none succeeded for `timeout` seconds.
    """

    live = True

    def __init__(
        self, address: str, first: NDArray[np.uint8], timeout: float, fps: float | None, max_pixels: int, trust: Trust
    ) -> None:
        """Begin with the first picture.

        Args:
            address: The address.
            first: (H, W, 3) uint8 BGR, as it was just read.
            timeout: Seconds for a request, and for all that fail.
            fps: Requests per second, None for `POLL_RATE`.
            max_pixels: Largest width times height.
            trust: Certificates that are accepted.
        """
        self._interval = min(MAX_POLL_INTERVAL, 1 / (fps or POLL_RATE))
        self.fps = 1 / self._interval
        self.name = f"{redact(address)} (still picture, requested {self.fps:g} times/s)"
        self._address, self._first, self._timeout = address, first, timeout
        self._max_pixels, self._trust = max_pixels, trust
        self._stopped = threading.Event()
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index, pixels, at = 0, self._first, time.monotonic()
        while True:
            yield Frame(pixels, index, time.monotonic() - self._start)
            index += 1
            succeeded = time.monotonic()
            while True:
                if self._stopped.wait(max(0.0, at + self._interval - time.monotonic())):
                    return
                at = time.monotonic()
                try:
                    pixels = self._request()
                    break
                except SourceError:
                    if time.monotonic() - succeeded >= self._timeout:
                        raise
                    self._dropped += 1

    def _request(self) -> NDArray[np.uint8]:
        body = open_http(self._address, self._timeout, self._trust)
        try:
            return _read_picture(body, b"", redact(self._address), self._max_pixels)
        finally:
            body.close()

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()


def _read_picture(body: HttpBody, data: bytes, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Read the rest of a picture's file and decode it: (H, W, 3) uint8 BGR."""
    pieces, size = [data], len(data)
    try:
        while more := body.read():
            pieces.append(more)
            size += len(more)
            tail = pieces[-2][-1:] + more[-2:]
            if body.length is None and (data or pieces[1]).startswith(_JPEG) and tail.endswith(b"\xff\xd9"):
                break  # a server that leaves the connection open
            if size > MAX_JPEG_BYTES:
                raise SourceError(f"{name} is larger than {MAX_JPEG_BYTES // 2**20} MiB")
            body.deadline.remaining()
    except TimeoutError:
        raise SourceError(f"{name} did not send a whole picture in {body.deadline.seconds:g} s") from None
    file = b"".join(pieces)
    if (body.length is not None and size < body.length) or (file.startswith(_JPEG) and not is_complete(file)):
        raise SourceError(f"{name} sent a picture that is cut off")
    return decode_picture(file, f"{name} ({body.content_type or 'file'})", max_pixels).pixels
