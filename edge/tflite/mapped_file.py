"""Model files in memory: mapped by the runtime, whose pages are given back once the weights are packed."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

from fer_edge.edge.errors import ModelError

MAX_BYTES = 2 << 30
"""Bytes of a .tflite file: the offsets in a flatbuffer are 32-bit numbers with a sign."""

MADV_DONTNEED = 4
"""From Linux's mman.h."""


def check_model(path: Path) -> None:
    """Check that a file can be read, is no larger than a flatbuffer and begins as one; raises ModelError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for its other end
            raise ModelError(f"{path} is no file; expected a .tflite file")
        if status.st_size > MAX_BYTES:
            raise ModelError(f"{path} has {status.st_size >> 20} MiB; expected a .tflite file, which has 2 GiB at most")
        with path.open("rb") as stream:
            identifier = stream.read(8)[4:]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}; expected a .tflite file") from None
    if identifier != b"TFL3":
        raise ModelError(f"{path} is no TFLite model (its identifier is {identifier!r}, expected b'TFL3')")


def release_pages(path: Path) -> None:
    """Give the memory of a mapped file back to the system, which reads it again where it is still needed.

    XNNPACK has its own, packed copy of the weights, so that a model's file would take as much memory a second time.

    Args:
        path: The file; nothing happens where it is not mapped.
    """
    try:
        maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape")
        libc = ctypes.CDLL(None)
    except OSError:
        return
    name = f" {os.path.realpath(path)}"
    for line in maps.splitlines():
        if line.endswith(name) and " r--" in line:
            start, end = (int(address, 16) for address in line.split()[0].split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)
