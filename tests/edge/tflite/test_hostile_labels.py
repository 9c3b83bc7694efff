"""The archive of labels inside a .tflite file as no tool writes it: read within limits, or refused in one line."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from predictions import CLASSES

from fer_edge.edge.tflite.card import card_path, read_card, sha256, write_card
from fer_edge.edge.tflite.labels import LABELS_FILE, MAX_BYTES, read_labels
from fer_edge.models import FOLDER

GOOD = ("\n".join(CLASSES) + "\n").encode()
MODEL = FOLDER / "mobilenet_v2_int8.tflite"


def archive(
    content: bytes = GOOD, packing: int = zipfile.ZIP_DEFLATED, copies: int = 1, name: str = LABELS_FILE
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as writer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name again
        for _ in range(copies):
            writer.writestr(name, content)
    return file.getvalue()


def altered(content: bytes, signature: bytes, offset: int, form: str, value: int) -> bytes:
    """An archive with another number at an offset from a record's signature."""
    changed = bytearray(content)
    struct.pack_into(form, changed, changed.rindex(signature) + offset, value)
    return bytes(changed)


def with_long_list() -> bytes:
    """An archive whose list of files has a gigabyte, as a sparse model file of such a size may have."""
    return altered(archive(), b"PK\5\6", 12, "<I", 1 << 30)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: archive(bytes(50 << 20)),
    "bomb with a small size": lambda: altered(archive(bytes(50 << 20)), b"PK\1\2", 24, "<I", 100),
    "small with a large size": lambda: altered(archive(), b"PK\1\2", 24, "<I", 0xFFFFFFFE),
    "just too long": lambda: archive(b"a" * (MAX_BYTES + 1)),
    "bzip2": lambda: archive(bytes(1 << 20), zipfile.ZIP_BZIP2),
    "lzma": lambda: archive(GOOD, zipfile.ZIP_LZMA),
    "unknown packing": lambda: altered(archive(), b"PK\1\2", 10, "<H", 99),
    "encrypted": lambda: altered(archive(), b"PK\1\2", 8, "<H", 1),
    "checksum": lambda: altered(archive(), b"PK\1\2", 16, "<I", 0),
    "place": lambda: altered(archive(), b"PK\1\2", 42, "<I", 0x7FFFFFF0),
    "list": with_long_list,
    "not text": lambda: archive(b"\xff\xfe"),
    "long line": lambda: archive(b"x" * 60_000),
    "other labels": lambda: archive(b"a\n" * 20_000),
    "cut off": lambda: archive(GOOD, zipfile.ZIP_STORED).replace(GOOD, GOOD[:10]),
}


@pytest.mark.faults
@pytest.mark.parametrize("case", ARCHIVES)
def test_a_hostile_archive_costs_one_line(tmp_path: Path, mistake: Callable[..., str], case: str) -> None:
    model = tmp_path / MODEL.name
    plain = MODEL.read_bytes()
    model.write_bytes(plain[: plain.index(b"PK\3\4")] + ARCHIVES[case]())
    shutil.copy(card_path(MODEL), tmp_path)
    card = read_card(model)
    write_card(model, type(card)(**{**vars(card), "sha256": sha256(model)}))
    tracemalloc.start()
    labels = None
    try:
        if case in ("long line", "other labels"):
            labels = read_labels(model)
        else:
            assert len(mistake("models", "show", model)) < 400
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert labels is None or len(labels) in (1, 20_000)
    assert len(mistake("predict", "--model", model, FOLDER.parent / "benchmarks" / "astronaut.jpg")) < 400


@pytest.mark.faults
@pytest.mark.parametrize("copies", [1, 3000])
def test_labels_are_read_wherever_they_stand(tmp_path: Path, copies: int) -> None:
    model = tmp_path / "a.tflite"
    model.write_bytes(bytes(100) + archive(copies=copies))
    assert read_labels(model) == CLASSES
    model.write_bytes(bytes(100) + archive(name="vocabulary.txt"))
    assert read_labels(model) is None
    model.write_bytes(b"")
    assert read_labels(model) is None


def test_shipped_labels_are_those_of_the_cards() -> None:
    for path in FOLDER.glob("*.tflite"):
        assert read_labels(path) == tuple(json.loads(card_path(path).read_text("utf-8"))["labels"])
