"""Atomic file writes."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.documents import write_json
from fer_edge.edge.files.writing import atomic_path, write_bytes


def test_an_interrupt_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_bytes(path, b"old")

    def write_and_interrupt() -> None:
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".json"
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["a.json"]


def test_a_full_disk_is_a_one_line_error(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SinkError, match="cannot be written: File too large"):
            write_bytes(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_created_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "a.bin", b"")


VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a,[]{}"\\\n ')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_json_keeps_the_value(value: object) -> None:
    with TemporaryDirectory() as folder:
        assert json.loads(write_json(Path(folder) / "a.json", value).read_text("utf-8")) == value


def test_a_list_of_numbers_is_one_line(tmp_path: Path) -> None:
    text = write_json(tmp_path / "a.json", {"a": [1, 2.5, "x, y"], "b": [[1], []]}).read_text("utf-8")
    assert text.splitlines()[1] == '  "a": [1, 2.5, "x, y"],'
