"""Names of files: whether two are one file, file:// addresses, and what OpenCV can open."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from fer_edge.edge.errors import FerEdgeError, is_valid_text


def file_identity(path: Path | str) -> tuple[int, int] | None:
    """The device and inode of a file, which are the same under all its names; None where there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name with a zero byte
        return None
    return status.st_dev, status.st_ino


def local_path(source: str) -> str:
    """The path in an address file://… (RFC 8089); anything else stays as it is.

    Args:
        source: An address, a path, or something else.

    Returns:
        The path, percent-decoded unless there is a file with the percent signs in its name.
    """
    match = re.match(r"file://(?:localhost)?(?=/)", source, re.IGNORECASE)
    if match is None:
        return source
    path = source[match.end() :]
    return path if os.path.lexists(path) else os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape")))


@contextmanager
def opencv_path(path: Path | str) -> Iterator[str]:
    """Name a file so that OpenCV and its FFmpeg can open it, whatever its own name is.

    OpenCV ends the process for a name that is not UTF-8, and FFmpeg takes `12:30.mp4` for an address.

    Args:
        path: A file, which need not exist where it is to be written.

    Yields:
        A name of the same file in UTF-8, with its suffix. It may be a link for this purpose, which is removed at the
        end: open the file before.

    Raises:
        FerEdgeError: The file's folder cannot be opened, or no temporary folder can be written to.
    """
    if is_valid_text(str(path)):
        yield os.path.join(os.curdir, path)  # an absolute path stays
        return
    from tempfile import TemporaryDirectory  # here: it loads `random`, and few names need it

    folder, name = os.path.split(path)
    with ExitStack() as closing:
        try:
            if not is_valid_text(name):
                suffix = os.path.splitext(name)[1]
                name, target = f"file{suffix if is_valid_text(suffix) else ''}", os.path.join(os.getcwd(), path)
                folder = closing.enter_context(TemporaryDirectory(prefix="fer-edge-"))
                os.symlink(target, os.path.join(folder, name))
            descriptor = os.open(folder or os.curdir, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise FerEdgeError(f"{path} cannot be opened: {error.strerror or error}") from None
        closing.callback(os.close, descriptor)
        yield f"/proc/self/fd/{descriptor}/{name}"  # the folder's own name may be in no encoding either
