"""JSON and TOML, which anybody may have written: read within limits, and written as valid text."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import shortened, valid_text
from fer_edge.edge.files.writing import write_bytes

MAX_BYTES = 16 << 20
"""Bytes of a document. The largest that fer-edge writes, a detection benchmark's result, has half a million."""

MAX_TOML_BYTES = 256 << 10
"""Bytes of a configuration file; parsing takes longer than its length grows, if it is made for that."""

MAX_DEPTH = 64
"""Levels of nested lists and tables; what copies or prints a value calls itself once per level."""

MAX_DIGITS = 18
"""Digits of an integer, so that it fits in 64 bits wherever it goes."""


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
