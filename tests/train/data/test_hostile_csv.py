"""CSV files that no spreadsheet wrote, or that one did: read exactly, or one short line and little memory."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from predictions import CLASSES
from training import csv_row, write_ferplus

from fer_edge.edge.errors import DataError, ModelError
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.csv_rows import FREE_BYTES, MAX_LINE
from fer_edge.train.data.ferplus import read_votes
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split

FACE = np.arange(48 * 48).reshape(48, 48) % 256
ONE = Split(FACE[None].astype(np.uint8), np.array([3]), CLASSES)
PIXELS = " ".join(map(str, FACE.ravel()))
ROW = csv_row(3, FACE, "Training")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails where Python's and numpy's memory grows by more than 30 MB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


GOOD = {
    "quoted comma": f'emotion,note,pixels,Usage\n3,"Smith, John ""J""",{PIXELS},Training\n',
    "quoted cells": f'"emotion","pixels","Usage"\n"3","{PIXELS}","Training"\n',
    "blanks before quotes": f'emotion, note, pixels, Usage\n3, "a, b", {PIXELS}, Training\n',
    "semicolons": f"emotion;pixels;Usage\n3;{PIXELS};Training\n",
    "tabs": f"emotion\tpixels\tUsage\n3\t{PIXELS}\tTraining\n",
    "semicolons and commas": f"emotion;note;pixels;Usage\n3;a, b;{PIXELS};Training\n",
    "reordered": f"Usage,other,pixels,emotion\nTraining,,{PIXELS},3\n",
    "capitals": f"EMOTION,Pixels,usage\n3,{PIXELS},TRAINING\n",
    "byte order mark": f"\ufeffemotion,pixels,Usage\n{ROW}\n",
    "byte order mark and quotes": f'\ufeff"emotion","pixels","Usage"\n{ROW}\n',
    "CRLF": f"emotion,pixels,Usage\r\n{ROW}\r\n",
    "blank lines": f"emotion,pixels,Usage\n\n{ROW}\n \r\n\n",
    "no end": f"emotion,pixels,Usage\n{ROW}",
    "trailing commas": f"emotion,pixels,Usage,\n{ROW},,\n",
    "accents": f"emotion,name,pixels,Usage\n3,Zoë,{PIXELS},Training\n",
}


@pytest.mark.faults
@pytest.mark.parametrize("case", GOOD)
def test_what_spreadsheets_write_is_read_exactly(tmp_path: Path, case: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(GOOD[case].encode())
    train = load(path).split("train")
    assert train.labels.tolist() == [3]
    assert np.array_equal(train.faces, [FACE])


LONG = "y" * 9000
BAD = {
    "shifted": (f"emotion,note,pixels,Usage\n3,a, b,{PIXELS},Training\n", "row 2: 5 columns, expected 4"),
    "too few": (f"emotion,pixels,Usage,more\n{ROW}\n", "row 2: 3 columns, expected 4"),
    "open quote": (f'emotion,note,pixels,Usage\n3,"a,{PIXELS},Training\n', "row 2: its quotes do not fit"),
    "closed too early": (f'emotion,note,pixels,Usage\n3,"a"b,{PIXELS},Training\n', "row 2: its quotes do not fit"),
    "long emotion": (f"emotion,pixels,Usage\n{LONG},{PIXELS},Training\n", "row 2: emotion is 'yyy"),
    "digits": (f"emotion,pixels,Usage\n{'3' * 5000},{PIXELS},Training\n", "row 2: emotion is '333"),
    "long usage": (f"emotion,pixels,Usage\n3,{PIXELS},{LONG}\n", "row 2: Usage is 'yyy"),
    "usage in several lines": (f'emotion,pixels,Usage\n3,{PIXELS},"Train\ning"\n', "row 2: its quotes do not fit"),
    "NUL": (f"emotion,pixels,Usage\n\0{ROW}\n", "row 2: emotion is '?3'"),
    "NUL in pixels": (f"emotion,pixels,Usage\n{ROW.replace(' 17 ', ' 17' + chr(0) + ' ')}\n", "row 2: "),
    "other digits": (f"emotion,pixels,Usage\n٣,{PIXELS},Training\n", "row 2: emotion"),
    "header twice": (f"emotion,pixels,Usage,Emotion\n{ROW},3\n", "has the column emotion twice"),
    "no header": (f"{ROW}\n{ROW}\n", "the header is '3,0 1 2"),
    "long header": (f"{LONG}\n", "the header is 'yyy"),
    "old line ends": ("\r".join(["emotion,pixels,Usage", *200 * [ROW]]), "row 1 is longer than"),
}


@pytest.mark.faults
@pytest.mark.parametrize("case", BAD)
def test_a_bad_csv_costs_one_short_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "fer2013.csv"
    content, expected = BAD[case]
    path.write_bytes(content.encode())
    with pytest.raises(DataError) as caught:
        load(path)
    assert expected in str(caught.value) and len(f"{caught.value}") < 400 and "\n" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_costs_one_line(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(f"emotion,pixels,Usage,é\n{ROW},\n".encode(encoding))
    with pytest.raises(DataError, match=r"^.{1,400}$"):
        load(path)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["gz", "xz", "zip", "csv"])
@pytest.mark.parametrize("content", ["one line", "blank lines", "rows"])
def test_a_small_file_that_unpacks_to_much_takes_little_memory(
    tmp_path: Path, little_memory: None, kind: str, content: str
) -> None:
    size = 2 * FREE_BYTES
    unit = {"one line": b"a" * 10_000, "blank lines": b"\n" * 10_000, "rows": (b"3," + b"1 " * 4990 + b",Training\n")}[
        content
    ]
    whole = b"emotion,pixels,Usage\n" + unit * ((size if kind != "csv" else 2 * MAX_LINE) // len(unit))
    path = tmp_path / f"fer2013.csv.{kind}"
    tracemalloc.reset_peak()
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("fer2013.csv", whole)
    else:
        pack = {"gz": lambda each: gzip.compress(each, 1), "xz": lambda each: lzma.compress(each, preset=0)}
        path.write_bytes(pack.get(kind, bytes)(whole))
    del whole
    tracemalloc.reset_peak()
    expected = {"one line": "longer than", "blank lines": "empty one in a row"}.get(content, "unpacks to|no usable row")
    with pytest.raises(DataError, match=expected):
        load(path, skip_bad=True)


@pytest.mark.faults
def test_of_several_csv_files_in_a_zip_file_none_is_guessed(tmp_path: Path) -> None:
    path, table = tmp_path / "data.zip", f"emotion,pixels,Usage\n{ROW}\n"

    def pack(*names: str) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, table if "__MACOSX" not in name else "x")
        return path

    for names in (("a.csv",), ("__MACOSX/._a.csv", "a.CSV", "README"), ("test.csv", "fer2013/fer2013.csv")):
        assert load(pack(*names)).split("train").labels.tolist() == [3]
    with pytest.raises(DataError, match=r"holds 2 \.csv files \(train\.csv, test\.csv\)"):
        load(pack("train.csv", "test.csv"))


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero", "socket"])
def test_what_is_no_file_costs_one_line(tmp_path: Path, mistake: Callable[..., str], kind: str) -> None:
    import socket

    path = tmp_path / "fer2013.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.symlink_to(kind)
    assert str(path) in mistake("data", "info", path)
    with pytest.raises(DataError, match=str(path)):
        read_votes(path, ONE)
    with pytest.raises(ModelError, match=str(path)):
        read_arrays(path, "an array")


@pytest.mark.faults
def test_a_cache_of_other_arrays_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(f"emotion,pixels,Usage\n{ROW}\n")
    cache = tmp_path / "fer2013.csv.fer-edge.npz"
    load(path)
    with zipfile.ZipFile(cache) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}

    def stored(values: np.ndarray) -> bytes:
        stream = io.BytesIO()
        np.save(stream, values)
        return stream.getvalue()

    about = json.loads(entries["about.json"])
    changes: tuple[dict[str, bytes], ...] = (
        {"train_faces.npy": stored(FACE[None, :40].astype(np.uint8))},
        {"train_faces.npy": stored(FACE[None].astype(np.float64))},
        {"train_faces.npy": stored(np.array([None]))},
        {"train_faces.npy": stored(FACE[None].astype(np.uint8)).replace(b"(1, 48, 48)", b"(9, 48, 48)")},
        {"train_codes.npy": stored(np.array([7], np.uint8))},
        {"train_codes.npy": stored(np.zeros((1, 1), np.uint8))},
        {"train_rows.npy": stored(np.array([-1]))},
        {
            f"train_{name}.npy": stored(np.zeros(shape, np.uint8))
            for name, shape in (("faces", (0, 48, 48)), ("codes", 0))
        },
        {"about.json": json.dumps({**about, "labels": ["a"]}).encode()},
        {"about.json": json.dumps({**about, "counts": 3}).encode()},
        {"about.json": b"[]"},
    )
    for change in changes:
        with zipfile.ZipFile(cache, "w") as archive:
            for name, content in (entries | change).items():
                archive.writestr(name, content)
        assert np.array_equal(load(path).split("train").faces, [FACE])


@pytest.mark.faults
def test_arrays_that_unpack_to_much_are_refused(tmp_path: Path, little_memory: None) -> None:
    path = tmp_path / "a.npz"
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("a.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (1 << 27,)})
        for _ in range(1 << 7):
            stream.write(bytes(1 << 20))
    with pytest.raises(ModelError, match="unpacks to 128 MiB"):
        read_arrays(path, "an array")
    np.savez(path, a=np.zeros(3))
    content = path.read_bytes().replace(b"(3,), }" + b" " * 20, b"(3000000000000000000000,), }"[:27].ljust(27))
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        read_arrays(path, "an array")


@pytest.mark.faults
@pytest.mark.parametrize("votes", ["9" * 5000, "1e9", "-1", "", "1001"])
def test_impossible_votes_cost_one_short_line(tmp_path: Path, votes: str) -> None:
    path = write_ferplus(tmp_path / "fer2013new.csv", ",".join([votes, *["0"] * 9]))
    with pytest.raises(DataError, match="row 2: a vote is not") as caught:
        read_votes(path, ONE)
    assert len(str(caught.value)) < 400


@pytest.mark.faults
def test_votes_are_read_with_a_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    path = write_ferplus(tmp_path / "fer2013new.csv", "0,10,0,0,0,0,0,0,0,0")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"a.png", b'"a, b.png"').replace(b"\n", b"\r\n"))
    assert read_votes(path, ONE).tolist() == [[0, 0, 0, 1, 0, 0, 0]]
    path.write_bytes(b"x" * (MAX_LINE + 1))
    with pytest.raises(DataError, match="longer than"):
        read_votes(path, ONE)
    path.write_bytes("Usage,neutral".encode("utf-16"))
    with pytest.raises(DataError, match=r"cannot be read|lacks the column"):
        read_votes(path, ONE)


def test_row_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(f"emotion,pixels,Usage\n\n{ROW}\n\n3,1 2,Training\n")
    with pytest.raises(DataError, match="row 5: 2 pixels"):
        load(path)
