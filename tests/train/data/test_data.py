"""The CSV and folder readers: known spellings of names and columns, and every kind of damage."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from training import csv_row, synthetic_rows

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError, SinkError
from fer_edge.train.data import class_folders as folders
from fer_edge.train.data import loading as data
from fer_edge.train.data import splits

FACE = np.arange(48 * 48).reshape(48, 48) % 256


def test_counts_and_pixels(synthetic_csv: Path) -> None:
    dataset = data.load(synthetic_csv)
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 140, "val": 42, "test": 14}
    assert dataset.split("train").counts().tolist() == [20] * 7
    first = synthetic_rows(1, "Training")[0].split(",")[1]
    assert dataset.split("train").faces[0].ravel().tolist() == [int(value) for value in first.split()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gz", "xz", "zip"])
def test_compressed_csv_reads_the_same(synthetic_csv: Path, tmp_path: Path, kind: str) -> None:
    content, packed = synthetic_csv.read_bytes(), tmp_path / f"fer2013.csv.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("fer2013/fer2013.csv", content)
    else:
        packed.write_bytes({"gz": gzip, "xz": lzma}[kind].compress(content))
    one, other = (splits.fingerprint(data.load(path).split("val")) for path in (packed, synthetic_csv))
    assert one == other


def test_icml_header_and_column_order(tmp_path: Path) -> None:
    path = tmp_path / "icml_face_data.csv"
    cells = csv_row(3, FACE, "PublicTest").split(",")
    path.write_text(f"emotion, Usage, pixels\r\n{cells[0]},{cells[2]},{cells[1]}\r\n")
    val = data.load(path).split("val")
    assert val.labels.tolist() == [3] and np.array_equal(val.faces[0], FACE)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (csv_row(3, FACE[:40], "Training"), "1920 pixels, expected 2304"),
        (csv_row(3, FACE + 1, "Training"), "pixel values from 1 to 256"),
        (csv_row(3, FACE - 1, "Training"), "pixel values from -1 to 254"),
        (csv_row(3, FACE, "Training").replace(" 17 ", " 4294967297 "), "pixel"),
        (csv_row(7, FACE, "Training"), "emotion is '7'"),
        ("x" + csv_row(3, FACE, "Training"), "emotion is 'x3'"),
        (csv_row(3, FACE, "Trainin"), "Usage is 'Trainin'"),
        (csv_row(3, FACE, "Training").replace(" 17 ", " x "), "pixel"),
        ("3,1 2 3", "2 columns"),
    ],
)
def test_bad_row_is_named_and_can_be_skipped(tmp_path: Path, messages: list[str], row: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", csv_row(0, FACE, "Training"), row]) + "\n")
    with pytest.raises(DataError, match="row 3") as caught:
        data.load(path)
    assert message in str(caught.value)
    for _ in ("parsed", "cached"):
        skipped = data.load(path, skip_bad=True)
        assert (len(skipped.split("train")), skipped.skipped) == (1, 1)
        assert messages[-1].endswith("1 bad rows skipped")


@given(arrays(np.uint8, (48, 48)), st.integers(0, 6))
@settings(max_examples=20)
def test_every_row_is_parsed_exactly(tmp_path_factory: pytest.TempPathFactory, face: np.ndarray, label: int) -> None:
    path = tmp_path_factory.mktemp("row") / "fer2013.csv"
    path.write_text(f"emotion,pixels,Usage\n{csv_row(label, face, 'PrivateTest')}\n")
    test = data.load(path).split("test")
    assert np.array_equal(test.faces, [face]) and test.labels.tolist() == [label]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"emotion,pixels,Usage\n", bytes(range(256))])
def test_no_csv_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError):
        data.load(path)


@pytest.mark.parametrize("kind", ["gz", "xz", "zip"])
def test_damaged_archive(synthetic_csv: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"fer2013.csv.{kind}"
    path.write_bytes({"gz": gzip, "xz": lzma, "zip": gzip}[kind].compress(synthetic_csv.read_bytes())[:-100])
    with pytest.raises(DataError):
        data.load(path)


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_flipped_bits_and_encryption_are_one_line(synthetic_csv: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"fer2013.csv.{kind}"
    if kind == "gz":
        content = bytearray(gzip.compress(synthetic_csv.read_bytes()))
        content[10] |= 6  # a kind of block that there is not
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("fer2013.csv", synthetic_csv.read_bytes())
        content = bytearray(path.read_bytes())
        for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            content[content.index(header) + flags] |= 1  # says that it is encrypted
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        data.load(path)


def test_a_picture_of_too_many_pixels_is_a_bad_one(tmp_path: Path) -> None:
    for name in ("happy", "sad"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "a.pgm").write_bytes(b"P5 48 48 255\n" + bytes(48 * 48))
    (tmp_path / "train/happy/b.pgm").write_bytes(b"P5 60000 60000 255\n")
    assert data.load(tmp_path, skip_bad=True).skipped == 1


def test_a_tree_that_cannot_be_written_is_one_line(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = data.load(synthetic_csv)
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written"):
        folders.write_folders(dataset, tmp_path / "file" / "tree")
    (tmp_path / "full").mkdir()

    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SinkError, match="No space left"):
        folders.write_folders(dataset, tmp_path / "full" / "tree")
    assert not list((tmp_path / "full").iterdir())


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "Training")]))

    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert len(data.load(path).split("train")) == 7
    assert "No space left" in messages[-1] and [each.name for each in tmp_path.iterdir()] == [path.name]


def test_cache_is_used_and_renewed(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "Training")]))
    data.load(path)
    data.load(path)
    assert len(messages) == 1
    path.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(14, "Training")]))
    assert len(data.load(path).split("train")) == 14


def test_damaged_cache_is_parsed_again(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "Training")]))
    data.load(path)
    cache = path.with_name("fer2013.csv.fer-edge.npz")
    cache.write_bytes(cache.read_bytes()[:500])
    assert len(data.load(path).split("train")) == 7


def test_prepared_folders_hold_the_same_pictures(synthetic_csv: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "prepare", str(synthetic_csv), str(tmp_path / "tree")])
    assert result.exit_code == 0, result.output
    tree, csv = data.load(tmp_path / "tree"), data.load(synthetic_csv)
    for name in splits.SPLITS:
        assert tree.split(name).counts().tolist() == csv.split(name).counts().tolist()
    face = cv2.imread(str(tmp_path / "tree/train/angry/00000.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(face, csv.split("train").faces[0])
    again = CliRunner().invoke(main, ["data", "prepare", str(synthetic_csv), str(tmp_path / "tree")])
    assert again.exit_code == 2 and "exists" in again.output


def test_two_way_trees_and_damaged_pictures(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "Happiness").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / split / "Happiness" / "a.jpg"), np.full((60, 60), 99, np.uint8))
    dataset = data.load(tmp_path, classes="fer2013")
    assert dataset.split("train").labels.tolist() == [3] and dataset.split("test").faces.shape == (1, 48, 48)
    with pytest.raises(DataError, match="no 'val' split"):
        dataset.split("val")
    (tmp_path / "train/Happiness/broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        data.load(tmp_path, classes="fer2013")
    assert data.load(tmp_path, skip_bad=True, classes="fer2013").skipped == 1
    (tmp_path / "train/bored").mkdir()
    with pytest.raises(DataError, match="bored"):
        data.load(tmp_path, skip_bad=True, classes="fer2013")


def test_absent_split_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "Training")]))
    result = CliRunner().invoke(main, ["evaluate", "mobilenet_v2", "--data", str(path), "--split", "test"])
    assert result.exit_code == 2 and "no 'test' split" in result.output and len(result.output.splitlines()) <= 2


def test_a_part_of_each_class_is_the_same_every_time(synthetic_csv: Path, tmp_path: Path) -> None:
    trees = [tmp_path / name for name in ("one", "other")]
    for tree in trees:
        done = CliRunner().invoke(main, ["data", "prepare", str(synthetic_csv), str(tree), "--per-class", "3"])
        assert done.exit_code == 0, done.output
    one, other = (data.load(tree) for tree in trees)
    assert one.split("train").counts().tolist() == [3] * 7
    assert np.array_equal(one.split("train").faces, other.split("train").faces)
    assert len(one.split("val")) == len(data.load(synthetic_csv).split("val"))
