"""The labels inside a .tflite file: labels.txt in the small zip archive that TFLite metadata has behind the model."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from fer_edge.edge.errors import ModelError
from fer_edge.edge.types import EMOTIONS

FILE = "labels.txt"

# as the ZIP specification has them (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7, 4.3.12, 4.3.16)
_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


def labels_inside(model: Path) -> tuple[str, ...] | None:
    """The labels that the file carries, None where it carries none; ModelError where they cannot be read.

    Reads some hundred bytes at the file's end. zipfile could do this, but its import takes half as long as loading a
    model does.
    """
    try:
        with model.open("rb") as stream:
            text = _read(stream, FILE)
        return None if text is None else tuple(text.decode().splitlines())
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise ModelError(f"{model}: the labels inside cannot be read ({error}); fetch or convert it again") from None


def check_labels(model: Path) -> None:
    """ModelError where the file carries other labels than EMOTIONS, or these in another order."""
    found = labels_inside(model)
    if found not in (None, EMOTIONS):
        raise ModelError(f"{model} carries the labels {', '.join(found or ())}; expected {', '.join(EMOTIONS)}")


def _read(stream: BinaryIO, name: str) -> bytes | None:
    """A file of the archive that ends the stream, None where there is no archive or no such file."""
    size = stream.seek(0, 2)
    if size < _END.size:
        return None
    stream.seek(size - _END.size)
    signature, *_, count, _, start, _ = _END.unpack(stream.read(_END.size))
    if signature != b"PK\5\6":
        return None
    stream.seek(start)
    for _ in range(count):
        entry = _ENTRY.unpack(stream.read(_ENTRY.size))
        method, packed, offset = entry[4], entry[8], entry[16]
        named, rest = stream.read(entry[10]), entry[11] + entry[12]
        if named == name.encode():
            stream.seek(offset)
            local = _LOCAL.unpack(stream.read(_LOCAL.size))
            stream.seek(local[9] + local[10], 1)
            content = stream.read(packed)
            return zlib.decompress(content, -zlib.MAX_WBITS) if method else content
        stream.seek(rest, 1)
    return None
