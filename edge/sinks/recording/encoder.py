"""Encoders: pictures to packets, with what OpenCV can encode."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.recording.stream import Encoder, Packet, PacketHandler, StreamInfo

FOURCC = {"mpeg4": "FMP4", "vp8": "VP80"}
"""Names of the codecs in AVI, the format in which OpenCV hands over its packets."""

JPEG_QUALITY = 90

PIPE_BYTES = 1 << 20
"""Packets that may wait while the disk is slow; the system's limit for everybody is as much."""

HANDLED_TIMEOUT = 1.0
"""Seconds until a picture counts as written; with a disk that takes longer, or an encoder that keeps pictures back, the
next ones are not waited for."""

VOP_START = b"\0\0\1\xb6"
"""What precedes a picture in MPEG-4; ISO/IEC 14496-2, 6.2.5."""


def open_encoder(info: StreamInfo, handle: PacketHandler, folder: Path) -> Encoder:
    """Open the encoder of a stream.

    Args:
        info: The stream.
        handle: Gets each packet, from a thread of the encoder's.
        folder: A writable folder, for a moment, where there is no other for temporary files.

    Returns:
        The encoder.

    Raises:
        SinkError: This OpenCV cannot encode it.
    """
    return JpegEncoder(handle) if info.codec == "mjpeg" else PipeEncoder(info, handle, folder)


class JpegEncoder:
    """Each picture is a JPEG: large files, but quick, and any OpenCV can do it."""

    def __init__(self, handle: PacketHandler) -> None:
        self._handle = handle

    def encode(self, picture: NDArray[np.uint8]) -> None:
        done, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        if not done:
            raise SinkError(f"a picture of {picture.shape[1]}x{picture.shape[0]} is too large for JPEG")
        self._handle(Packet(data.tobytes(), True))

    def close(self) -> None:
        pass


class PipeEncoder:
    """OpenCV's FFmpeg, which writes into a pipe instead of a file.

    OpenCV reports no error of writing, keeps up to 256 KB back, and leaves an MP4 that nothing can play if the
    program is killed; behind the pipe, each packet is ours as soon as it is encoded.
    """

    def __init__(self, info: StreamInfo, handle: PacketHandler, folder: Path) -> None:
        self._codec, self._handle = info.codec, handle
        self._error: BaseException | None = None
        self._handled, self._prompt = threading.Semaphore(0), True
        try:
            self._writer, self._pipe = _open_writer(info, folder)
        except OSError as error:
            raise SinkError(f"no pipe to the encoder can be created in {folder}: {error.strerror}") from None
        self._thread = threading.Thread(target=self._pump, name="recording", daemon=True)
        self._thread.start()

    def encode(self, picture: NDArray[np.uint8]) -> None:
        self._raise_error()
        self._writer.write(picture)
        self._prompt = self._prompt and self._handled.acquire(timeout=HANDLED_TIMEOUT)
        self._raise_error()

    def close(self) -> None:
        self._writer.release()
        self._thread.join()
        self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _pump(self) -> None:
        chunks, failed = AviChunks(), False
        with open(self._pipe, "rb", buffering=0) as pipe:
            while data := pipe.read(1 << 16):  # to the end in any case: the encoder would wait for ever
                for chunk in chunks.feed(data):
                    try:
                        if not failed:
                            self._handle(Packet(chunk, _is_key(self._codec, chunk)))
                    except BaseException as error:  # raised in the run's thread
                        self._error, failed = error, True
                    self._handled.release()


def _open_writer(info: StreamInfo, spare: Path) -> tuple[cv2.VideoWriter, int]:
    """OpenCV's writer, and the descriptor from which its output is read; SinkError where it cannot encode this."""
    folder, handle = _make_pipe(spare)
    try:
        pipe = os.open("video.avi", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
        path = f"{folder}/video.avi"
        if not path.isascii():  # OpenCV 5 dies of a name that is not UTF-8
            path = f"/proc/self/fd/{handle}/video.avi"
        code = cv2.VideoWriter.fourcc(*FOURCC[info.codec])
        # the rate is for the bits per picture, and MPEG-4 takes no fine fraction; the container has the exact one
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, code, round(info.rate, 1), (info.width, info.height))
        if not writer.isOpened():
            os.close(pipe)
            raise SinkError(
                f"this OpenCV cannot encode {info.width}x{info.height} {info.codec}; "
                "use a name that ends in .avi, or pip install opencv-python"
            )
    finally:
        _remove_pipe(folder)  # both ends are open
        os.close(handle)
    with suppress(OSError, AttributeError):  # more than the system allows, or no Linux: 64 KB do, too
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(pipe, True)
    return writer, pipe


def _make_pipe(spare: Path) -> tuple[str, int]:
    """A new folder with a pipe named video.avi, and its descriptor."""
    for parent in (None, str(spare)):  # where the system is read-only, or the first one's disk has no pipes
        folder = ""
        try:
            folder = tempfile.mkdtemp(prefix=".fer-edge-", dir=parent)
            os.mkfifo(os.path.join(folder, "video.avi"), 0o600)
            return folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            problem = error
            _remove_pipe(folder)
    raise problem


def _remove_pipe(folder: str) -> None:
    """Remove the folder of a pipe; shutil.rmtree would need a descriptor, of which there may be none left."""
    for remove, path in ((os.unlink, os.path.join(folder, "video.avi")), (os.rmdir, folder)):
        with suppress(OSError):
            remove(path)


class AviChunks:
    """The pictures in a stream of AVI, as its bytes come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_movie = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes, of any number.

        Yields:
            The encoded pictures that are complete now.
        """
        self._buffer += data
        if not self._in_movie:
            start = self._buffer.find(b"movi")
            if start < 0:
                return
            self._in_movie = True
            del self._buffer[: start + 4]
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[4:8], "little")
            end = 8 + size + size % 2
            if len(self._buffer) < end:
                return
            kind, chunk = bytes(self._buffer[2:4]), bytes(self._buffer[8 : 8 + size])
            del self._buffer[:end]
            if kind in (b"dc", b"db"):
                yield chunk


def _is_key(codec: str, data: bytes) -> bool:
    if codec == "vp8":
        return not data[0] & 1  # RFC 6386, 9.1
    start = data.find(VOP_START) + len(VOP_START)
    return data[start] >> 6 == 0  # vop_coding_type "I"
