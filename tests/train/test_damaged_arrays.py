"""Files that are cut off, altered, of another kind or not there: one line each, as for every mistake."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.edge.errors import FerEdgeError
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import Split
from fer_edge.train.teachers import read_logits, write_logits
from fer_edge.train.weights import read_half, save_half

pytestmark = pytest.mark.tensorflow

NAMES = ("a", "b", "c")
FACES = Split(np.zeros((4, 48, 48), np.uint8), np.arange(4) % 3, NAMES)


@pytest.fixture
def network() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(400), keras.layers.Dense(3)], name="small")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """A bit of the first array, behind its header."""
    return content[:90] + bytes([content[90] ^ 16]) + content[91:]


def encrypted(content: bytes) -> bytes:
    """A bit that says so of the first array, in its header and the directory."""
    for header in (b"PK\3\4", b"PK\1\2"):
        at = content.index(header) + (6 if header == b"PK\3\4" else 8)
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    return content


def another_kind(content: bytes) -> bytes:
    """What np.save writes."""
    return (
        b"\x93NUMPY\1\0v\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + b"abcd"
    )


def empty(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, flipped, encrypted, another_kind, empty, None])
def test_arrays_are_one_line(tmp_path: Path, network: keras.Model, damage: Callable[[bytes], bytes] | None) -> None:
    weights, logits = tmp_path / "float.npz", tmp_path / "teacher_logits.npz"
    save_half(network, weights, NAMES)
    write_logits(logits, np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), ["a"], FACES)
    for path in (weights, logits):
        path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    for read in (
        lambda: read_arrays(weights, "arrays"),
        lambda: read_half(weights),
        lambda: read_logits(logits, FACES),
        lambda: Checkpoint(weights, "").restore(network),
    ):
        with pytest.raises(FerEdgeError) as caught:
            read()
        assert "\n" not in str(caught.value) and ".npz" in str(caught.value)
        assert damage or "no such file" in str(caught.value)


def test_arrays_of_something_else_are_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, architecture=np.array("vgg"), teachers=np.array(["a"]), **{"0000": np.array(["no number"])})
    for read in (lambda: read_half(other), lambda: read_logits(other, FACES)):
        with pytest.raises(FerEdgeError, match=r"other\.npz"):
            read()


@pytest.mark.parametrize("header", ["{'shape': (1,),\xb2\x83B", "{'shape': (", "'''", "{'shape': (1,)\n  x", "(" * 500])
def test_an_array_whose_header_is_no_python_is_one_line(tmp_path: Path, header: str) -> None:
    path = tmp_path / "float.npz"
    text = header.encode("latin-1").ljust(597) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(8))
    with pytest.raises(FerEdgeError, match="is damaged") as refused:
        read_arrays(path, "weights")
    assert "\n" not in str(refused.value)
