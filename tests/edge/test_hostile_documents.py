"""JSON and TOML files as nobody should write them: each costs one short line, through whatever command reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.errors import shortened
from fer_edge.edge.files.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_TOML_BYTES,
    parse_json,
    read_json,
    read_toml,
    write_json,
)
from fer_edge.edge.tflite.card import card_path
from fer_edge.models import FOLDER

Mistake = Callable[..., str]

HOSTILE_JSON = {
    "depth": b"[" * 200_000,
    "depth of objects": b'{"a":' * 100_000,
    "closed depth": b"[" * 500 + b"]" * 500,
    "digits": b'{"weights": ' + b"9" * 5000 + b"}",
    "digits below Python's limit": b'{"weights": [' + b"9" * 4000 + b"]}",
    "lone surrogate": b'{"members": ["\\ud800"], "labels": ["\\ud800"]}',
    "lone surrogate in a key": b'{"\\udc00": 1}',
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": -Infinity}',
    "beyond a float": b'{"temperature": 1e999}',
    "duplicate": b'{"name": 1, "name": 2}',
    "UTF-16": '{"name": 1}'.encode("utf-16"),
    "NUL": b"\0" * 100,
    "Latin-1": b'{"name": "\xe9"}',
    "empty": b"",
    "another kind": b'"text"',
    "a list": b"[1, 2]",
    "huge": b" " * (MAX_BYTES + 1),
    "long names": json.dumps({"x" * 9000: 1, "members": "y" * 9000}).encode(),
}
HOSTILE_TOML = {
    "depth": b"[run]\na = " + b"[" * 100_000,
    "depth of tables": b"a = " + b"{a = " * 5000,
    "dotted key": b"a." * 50_000 + b"a = 1",
    "dotted key in quotes": b'"a" . ' * 20_000 + b"a = 1",
    "dotted table": b"[" + b"a." * 100 + b"a]",
    "digits": b"[run]\nthreads = " + b"9" * 5000,
    "hexadecimal": b"[run]\nthreads = 0x" + b"f" * 50_000,
    "lone surrogate": b'[run]\nsource = "\\ud800"',
    "UTF-16": "[run]\nthreads = 1".encode("utf-16"),
    "NUL": b"\0",
    "Latin-1": b'[run]\nsource = "\xe9"',
    "huge": b"#" * (MAX_TOML_BYTES + 1),
    "long table": b"[" + b"x" * 9000 + b"]",
    "long table twice": b"[" + b"x" * 9000 + b"]\n" + b"[" + b"x" * 9000 + b"]",
    "long key": b"[run]\n" + b"x" * 9000 + b" = 1",
    "long value": b'[run]\nthreads = "' + b"x" * 9000 + b'"',
    "long choice": b'[run]\nrotate = "' + b"x" * 9000 + b'"',
}
PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"
SPECIAL = ("folder", "pipe", "/dev/zero", "/dev/full")


def _place(path: Path, kind: str) -> None:
    """Put something that is no regular file in place."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)


def _check(line: str, path: Path) -> None:
    assert str(path) in line and len(line) < 1000, line
    line.encode()


@pytest.mark.faults
@pytest.mark.parametrize("case", [*HOSTILE_JSON, *SPECIAL])
def test_a_hostile_json_file_costs_one_short_line(tmp_path: Path, mistake: Mistake, case: str) -> None:
    model, ensemble, result = (tmp_path / name for name in ("a.tflite", "ensemble.json", "result.json"))
    model.symlink_to(FOLDER / "mobilenet_v2_int8.tflite")
    for path in (card_path(model), ensemble, result):
        if case in SPECIAL:
            _place(path, case)
        else:
            path.write_bytes(HOSTILE_JSON[case])
    _check(mistake("models", "show", model), card_path(model))
    _check(mistake("predict", "--model", ensemble, PORTRAIT), ensemble)
    _check(mistake("bench", "compare", result, result), result)


@pytest.mark.faults
@pytest.mark.parametrize("case", [*HOSTILE_TOML, *SPECIAL])
def test_a_hostile_configuration_costs_one_short_line(tmp_path: Path, mistake: Mistake, case: str) -> None:
    path = tmp_path / "a.toml"
    if case in SPECIAL:
        _place(path, case)
    else:
        path.write_bytes(HOSTILE_TOML[case])
    for words in (["run", "--source", "x"], ["config"]):
        _check(mistake("--config", path, *words), path)


@pytest.mark.faults
@pytest.mark.parametrize("setting", ["root = 5", "install.root = 5", "[service.install]\nroot = 5", "install = [1]"])
def test_a_table_of_another_kind_costs_one_line(tmp_path: Path, mistake: Mistake, setting: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(setting if "service" in setting else f"[service]\n{setting}")
    for words in (["service", "install"], ["config"]):
        _check(mistake("--config", path, *words), path)


def test_a_byte_order_mark_is_no_part_of_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n[b]\r\n")
    assert read_toml(path) == {"a": 1, "b": {}}
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}
    assert read_toml(Path(os.devnull)) == {}


def test_limits_leave_room_for_what_is_written(tmp_path: Path) -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert read_json(write_json(tmp_path / "a.json", deep)) == deep
    largest = max((FOLDER.parent / "benchmarks" / "results").glob("*.json"), key=lambda path: path.stat().st_size)
    assert largest.stat().st_size < MAX_BYTES / 16
    assert read_json(largest)["rows"]


@given(st.binary(max_size=200) | st.text('[]{}",:\\ud80e19.- \n', max_size=200).map(str.encode))
def test_what_is_read_can_be_written_again(content: bytes) -> None:
    with suppress(ValueError):
        value = parse_json(content)
        assert parse_json(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


@given(st.text(), st.integers(2, 100))
def test_a_shortened_text_is_one_printable_line(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert len(short) <= limit and short.isprintable()
    if short and not short.endswith("…"):
        assert len(short.split()) == len(text.split())
