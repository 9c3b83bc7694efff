"""Model files in memory: mapped by the runtime, whose pages are given back once the weights are packed."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fer_edge.edge.errors import ModelError
from fer_edge.models import FOLDER

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


@contextmanager
def unchanging(path: Path) -> Iterator[Path]:
    """Name a model file so that a runtime may map it, whatever happens to the file afterwards.

    A mapped file that is emptied ends the process (SIGBUS), and one that is written over changes the scores: `cp` and
    `scp` do both. A package manager replaces files, and so the shipped ones are mapped themselves; any other is copied
    into memory, which takes its size once more.

    Args:
        path: The file.

    Yields:
        Its own path, or that of the copy, which is there as long as it is mapped.

    Raises:
        ModelError: It cannot be read, or there is no memory for the copy.
    """
    if path.resolve().is_relative_to(FOLDER.resolve()):
        yield path
        return
    with ExitStack() as closing:
        try:
            copy = closing.enter_context(os.fdopen(os.memfd_create("model"), "wb"))
            with path.open("rb") as file:
                shutil.copyfileobj(file, copy)
            copy.flush()
        except OSError as error:
            raise ModelError(f"{path} cannot be read into memory: {error.strerror}") from None
        yield Path(f"/proc/self/fd/{copy.fileno()}")


def release_pages(path: Path) -> None:
    """Give the memory of a mapped file back to the system, which reads it again where it is still needed.

    XNNPACK has its own, packed copy of the weights, so that a model's file would take as much memory a second time.

    Args:
        path: The file, or the name of a copy in memory; nothing happens where it is not mapped.
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
