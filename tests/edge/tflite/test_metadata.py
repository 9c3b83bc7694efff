"""TFLite metadata: what files say of themselves, and damaged tables."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.labels import LABELS_FILE, parse_labels
from fer_edge.edge.tflite.metadata import GRAYSCALE, RGB, FileMetadata, read_metadata
from fer_edge.models import FOLDER

MODEL = FOLDER / "mobilenet_v2_int8.tflite"
NO_METADATA = Path(__file__).parents[2] / "support" / "files" / "models" / "nan.tflite"


def test_metadata_as_convert_writes_them() -> None:
    metadata = read_metadata(MODEL)
    assert (metadata.means, metadata.deviations) == ((127.5,), (127.5,))
    assert metadata.colour_space in (RGB, GRAYSCALE) and metadata.labels_file == LABELS_FILE
    assert metadata.licence.startswith("Apache-2.0")


def test_a_file_may_have_none(tmp_path: Path) -> None:
    assert read_metadata(NO_METADATA) == FileMetadata()
    with pytest.raises(ModelError, match="No such file"):
        read_metadata(tmp_path / "none.tflite")


@pytest.mark.faults
def test_damaged_tables_are_read_or_refused(tmp_path: Path) -> None:
    content, path = MODEL.read_bytes(), tmp_path / "case.tflite"
    rng = random.Random(0)
    start = content.rindex(b"M001") - 64  # the metadata's own flatbuffer, and the tables at both ends
    places = [*range(start, start + 600), *range(200), *range(len(content) - 2000, len(content))]
    for _ in range(200):
        changed = bytearray(content)
        for place in rng.sample(places, 3):
            changed[place] = rng.choice((0, 1, 127, 128, 255))
        path.write_bytes(changed)
        with suppress(ModelError):
            read_metadata(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n", ("a", "b")),
        (" a \r\nb\r\n\r\n", ("a", "b")),
        ("0 Class 1\n1 Class 2", ("Class 1", "Class 2")),
        ("0: no\n1: yes", ("no", "yes")),
        ("1 one\n2 two", ("1 one", "2 two")),
        ("0 a\nb", ("0 a", "b")),
        ("", ()),
    ],
)
def test_labels_with_and_without_numbers(text: str, expected: tuple[str, ...]) -> None:
    assert parse_labels(text) == expected
