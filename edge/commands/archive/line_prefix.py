"""How far a file of JSON lines goes that a killed run has left: to the end of its last whole input."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.errors import valid_text


def whole_inputs(lines: Iterable[bytes], inputs: Sequence[Input]) -> tuple[int, int]:
    """Find the inputs whose records are complete.

    A picture has one line; a video has one for each of its moments, of rising frame numbers, and is complete where the
    next input's line or its own error follows.

    Args:
        lines: The file's lines with their ends, of which the last one may lack its own.
        inputs: The inputs in the order in which their records were written.

    Returns:
        Their number, and the bytes that their lines take.

    Raises:
        ValueError: A line is no record of the input that it should be of; the message is a predicate.
    """
    done = kept = position = 0
    last_frame = -1  # of a video that has begun
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        record = _record(line, number)
        while True:
            if done == len(inputs):
                raise ValueError(f"has more lines than there are inputs, from line {number} on")
            current = inputs[done]
            matches = record["path"] == valid_text(current.name)
            if current.kind == "video" and last_frame >= 0 and not (matches and _follows(record, last_frame)):
                done, kept, last_frame = done + 1, position, -1  # the line is the next input's
                continue
            if not matches:
                raise ValueError(f"has another path than {valid_text(current.name)} in line {number}")
            break
        position += len(line)
        if current.kind == "video" and "error" not in record:
            last_frame = int(record.get("frame", 0))
        else:
            done, kept, last_frame = done + 1, position, -1
    return done, kept


def _follows(record: dict[str, Any], frame: int) -> bool:
    """Whether a record may be the next one of a video after that frame."""
    return "error" in record or int(record.get("frame", 0)) > frame


def _record(line: bytes, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record.get("path"), str) and isinstance(record.get("frame", 0), int):
            return record
    except ValueError:
        pass
    raise ValueError(f"has no record of fer-edge predict in line {number}")
