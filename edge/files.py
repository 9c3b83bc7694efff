"""Files: written whole or not at all, under any name; JSON and TOML, which anybody may have written, within limits."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote_to_bytes

from fer_edge.edge.errors import FerEdgeError, SinkError, is_valid_text, shortened, valid_text

MAX_NAME = 40
"""Characters of a file's name that its temporary name keeps, the suffix among them: longer ones may be too long."""

MAX_BYTES = 16 << 20
"""Bytes of a document. The largest that fer-edge writes, a detection benchmark's result, has half a million."""

MAX_TOML_BYTES = 256 << 10
"""Bytes of a configuration file; parsing takes longer than its length grows, if it is made for that."""

MAX_DEPTH = 64
"""Levels of nested lists and tables; what copies or prints a value calls itself once per level."""

MAX_DIGITS = 18
"""Digits of an integer, so that it fits in 64 bits wherever it goes."""


def new_file_mode(path: Path | str) -> int:
    """The permissions of a new file with people's faces or scores in it, less what the umask takes away.

    Args:
        path: The file.

    Returns:
        0600, or 0640 in a folder that hands its group on to its files (chmod g+s): somebody has prepared it for them.
    """
    try:
        shared = os.stat(os.path.dirname(path) or os.curdir).st_mode & stat.S_ISGID
    except OSError:
        shared = 0
    return 0o640 if shared else 0o600


@contextmanager
def atomic_path(path: Path, private: bool = False) -> Iterator[Path]:
    """Write a file completely or not at all, even if the power fails.

    A link is followed, and a file that exists keeps its permissions.

    Args:
        path: The file's final path; its folder is created.
        private: Whether a new file, and a new folder, is for its owner alone (see `new_file_mode`).

    Yields:
        A temporary path in the same folder and with the same suffix, to write to. At the end it is renamed to `path`,
        or removed where an exception was raised.

    Raises:
        SinkError: An OSError was raised meanwhile, such as a full disk or a missing permission.
    """
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".part-{os.getpid()}-{real.name[-MAX_NAME:]}")
    try:
        make_folder(real.parent, private)
        if real.exists() and not real.is_file():
            raise SinkError(f"{path} cannot be written: it is no regular file")
        if private:
            temporary.touch(new_file_mode(real), exist_ok=False)
        yield temporary
        with suppress(OSError):  # there is no such file yet, or the file system has no permissions
            temporary.chmod(real.stat().st_mode & 0o7777)
        _write_to_disk(temporary)
        os.replace(temporary, real)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: Path, private: bool = False) -> None:
    """Create a folder and those above it, where they are missing.

    Args:
        folder: The folder.
        private: Whether those that are created are for their owner alone.

    Raises:
        OSError: It cannot be created.
    """
    if private and not folder.parent.exists():
        make_folder(folder.parent, private)
    own = {0o600: 0o700, 0o640: 0o750}[new_file_mode(folder)]
    folder.mkdir(mode=own if private else 0o777, parents=True, exist_ok=True)


def _write_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: some file systems would rename it before."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def write_bytes(path: Path, content: bytes, private: bool = False) -> None:
    """Write a file completely or not at all; SinkError where it cannot be written; `private` as in `atomic_path`."""
    with atomic_path(path, private) as temporary:
        temporary.write_bytes(content)


def json_text(value: Any, indent: int | None = None) -> str:
    """Make JSON that can be encoded as UTF-8; lone surrogates in its strings are escaped as `printable` does.

    Args:
        value: Anything that JSON can hold; a float that is infinite or no number, which JSON has not, becomes null.
        indent: Spaces of a level; None for one line.

    Returns:
        The JSON.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_with_null(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\{valid_text(match[0])}", text)  # JSON escapes a backslash


def _with_null(value: Any) -> Any:
    """The value with None for each float that JSON has not."""
    if isinstance(value, dict):
        return {key: _with_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> Path:
    """Write indented JSON completely or not at all, with each list of plain values on one line.

    Args:
        path: The file's path; its folder is created.
        value: Anything that JSON can hold.

    Returns:
        The path.

    Raises:
        SinkError: The file cannot be written.
    """
    text = json_text(value, indent=2)
    # strings contain no line breaks, as JSON escapes them
    text = re.sub(r"\[\n\s+([^][{}]+?)\n\s+\]", lambda match: "[" + re.sub(r",\n\s+", ", ", match[1]) + "]", text)
    write_bytes(path, (text + "\n").encode())
    return path


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.

    Returns:
        The value, which `write_json` can write again.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON, or beyond the limits; the message is one line without the path.
    """
    return parse_json(read_limited(path, MAX_BYTES))


def parse_json(content: bytes) -> Any:
    """The value of JSON in UTF-8; ValueError as `read_json` raises it."""
    text = _decoded(content)
    try:
        value = json.loads(
            text, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(value)
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.

    Returns:
        What TOML 1.0 makes of it.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not TOML, or beyond the limits; the message is one line without the path.
    """
    import tomllib  # slow to import, and most people have no file

    text = _decoded(read_limited(path, MAX_TOML_BYTES))
    if _LONG_KEY.search(text):  # its parts would be parsed in a time that grows with their square
        raise ValueError(f"a key has more than {MAX_DEPTH} parts")
    try:
        value = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:  # a TOMLDecodeError, or Python's for a number of thousands of digits
        raise ValueError(shortened(str(error).partition("; use sys.")[0], 200)) from None
    _check(value, floats=False)  # TOML has inf and nan
    return value


def read_limited(path: Path, limit: int) -> bytes:
    """Read a whole file that should be small.

    Args:
        path: The file.
        limit: Bytes that it may have.

    Returns:
        Its content.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is larger, or a pipe, which might never end; the message is one line without the path.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):  # /dev/null is a character device
            raise ValueError("it is a pipe or a socket; expected a file")
        content = b""
        while len(content) <= limit and (part := stream.read(1 << 20)):  # None for a terminal without input
            content += part
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit >> 10} KiB")
    return content


_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:\.[ \t]*+{_PART}){{{MAX_DEPTH}}}")

_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits; expected at most {MAX_DIGITS}")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise ValueError(f"the key '{shortened(twice)}' is there twice")
    return value


def _check(value: Any, floats: bool = True) -> None:
    """ValueError for what a parser lets through and its caller cannot use: depth, lone surrogates, huge numbers.

    floats: whether infinite ones are an error.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each
                inner += each.values()
            elif isinstance(each, list):
                inner += each
            elif isinstance(each, str):
                if not each.isascii() and any("\ud800" <= character <= "\udfff" for character in each):
                    raise ValueError(f"the text '{shortened(each)}' holds a lone surrogate, which is no character")
            elif isinstance(each, float):
                if floats and not math.isfinite(each):
                    raise ValueError("a number is larger than a float can be")
            elif isinstance(each, int) and abs(each) >= 10**MAX_DIGITS:
                raise ValueError(f"a number has more than {MAX_DIGITS} digits")
        level = inner
