"""Records as the content of a file: JSON Lines, CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from typing import Any

from fer_edge.edge.commands.archive.records import Record, as_json
from fer_edge.edge.errors import valid_text
from fer_edge.edge.files.documents import json_text
from fer_edge.edge.sinks.jsonl import face_record

FORMATS = ("jsonl", "csv", "parquet")
"""Names of the formats, which are the files' suffixes, too."""

COLUMNS = {
    "path": "string",
    "frame": "int64",
    "time": "float64",
    "face": "int32",
    "track": "int64",
    "x": "int32",
    "y": "int32",
    "width": "int32",
    "height": "int32",
    "score": "float32",
    "emotion": "string",
    "confidence": "float32",
}
"""Columns of a table before those of the classes, with Arrow's names of their types; docs/outputs.md explains them."""

LAST_COLUMN = "error"

DIGITS = {"time": 4, "score": 4}
"""Decimals in CSV, as `run` writes them; 6 for probabilities."""


def encode(records: Sequence[Record], classes: Sequence[str], form: str) -> bytes:
    """Encode records; the same records give the same bytes.

    Args:
        records: The records.
        classes: (C,) names of the model's classes.
        form: One of FORMATS.

    Returns:
        The content of a file: of JSON Lines one a record, of a table a row a face.
    """
    if form == "jsonl":
        return "".join(f"{json_text(as_json(record))}\n" for record in records).encode()
    names = column_names(classes)
    rows = (row for record in records for row in table_rows(record, classes))
    return _csv(names, rows) if form == "csv" else _parquet(names, rows)


def column_names(classes: Sequence[str]) -> list[str]:
    """The names of a table's columns; a class that is called like another column becomes `class NAME`."""
    own = [*COLUMNS, LAST_COLUMN]
    return [*COLUMNS, *(f"class {name}" if name in own else name for name in classes), LAST_COLUMN]


def table_rows(record: Record, classes: Sequence[str]) -> Iterator[list[Any]]:
    """A record's rows: one a face, or one without a face, so that every input has some.

    Args:
        record: The record.
        classes: (C,) names of the model's classes.

    Yields:
        The values of `column_names`, None for what there is not.
    """
    time = None if record.time is None else round(record.time, 4)
    head = [valid_text(record.path), record.frame, time]
    for number, prediction in enumerate(record.predictions):
        face = face_record(prediction)
        scores = face["scores"]
        yield [
            *(*head, number, face["track"], *face["box"], face["score"], face["emotion"], max(scores.values())),
            *(*scores.values(), None),
        ]
    if not record.predictions:
        yield [
            *head,
            *[None] * (len(COLUMNS) - len(head) + len(classes)),
            None if record.error is None else valid_text(record.error),
        ]


def _csv(names: Sequence[str], rows: Iterator[list[Any]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:  # None becomes an empty field
        cells = zip(names, row, strict=True)
        writer.writerow(f"{cell:.{DIGITS.get(name, 6)}f}" if isinstance(cell, float) else cell for name, cell in cells)
    return text.getvalue().encode()


def _parquet(names: Sequence[str], rows: Iterator[list[Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    kinds = [*COLUMNS.values(), *["float32"] * (len(names) - len(COLUMNS) - 1), "string"]
    values = [*zip(*rows, strict=True)] or [()] * len(names)
    columns = [pyarrow.array(column, pyarrow.type_for_alias(kind)) for column, kind in zip(values, kinds, strict=True)]
    content = BytesIO()
    parquet.write_table(pyarrow.table(columns, names=[*names]), content, compression="zstd")
    return content.getvalue()
