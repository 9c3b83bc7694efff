"""Trees of class folders with more than pictures in them: what is left out is counted, and nothing waits for ever."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.train.data import class_folders
from fer_edge.train.data.loading import load

GRAY = np.full((60, 60, 3), 99, np.uint8)


def encoded(suffix: str, picture: np.ndarray = GRAY) -> bytes:
    ok, content = cv2.imencode(suffix, picture)
    assert ok
    return content.tobytes()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with two pictures, train/happy/a.png and train/sad/a.png."""
    for name in ("happy", "sad"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "a.png").write_bytes(encoded(".png"))
    return tmp_path


@pytest.mark.faults
def test_what_a_tree_holds_besides_its_pictures_is_counted(tree: Path, messages: list[str]) -> None:
    for name in ("loose.jpg", "train/loose.jpg", "train/happy/notes.txt", "train/happy/Thumbs.db", "train/.DS_Store"):
        (tree / name).write_bytes(encoded(".jpg") if name.endswith(".jpg") else b"text")
    for name in ("train/happy/more", "train/happy/sad", "extra/happy", ".git", "train/happy/.cache"):
        (tree / name).mkdir(parents=True)
        (tree / name / "b.png").write_bytes(encoded(".png"))
    dataset = load(tree)
    expected = {
        class_folders.OUTSIDE: 2,
        class_folders.NO_PICTURES: 2,
        class_folders.SUB_FOLDERS: 2,
        class_folders.NO_SPLIT: 1,
        class_folders.HIDDEN: 3,
    }
    assert len(dataset.split("train")) == 2 and dataset.skipped == 0
    assert dataset.left_out == expected
    assert all(f"{name} ({count})" in messages[-1] for name, count in expected.items())
    shown = CliRunner().invoke(main, ["data", "info", str(tree), "--json"])
    assert json.loads(shown.stdout)["left_out"] == expected
    assert "left out: " in CliRunner().invoke(main, ["data", "info", str(tree)]).stderr


@pytest.mark.faults
def test_every_format_that_opencv_reads_is_read(tree: Path) -> None:
    names = ["b.jfif", "c.JPG", "d.jp2", "e.tiff", "f.webp", "g.bmp", "without-suffix"]
    names += [f"h{suffix}" for suffix in (".gif", ".avif") if cv2.haveImageWriter(suffix)]  # not all wheels have them
    for name in names:
        suffix = {".jfif": ".jpg", "": ".png"}.get(Path(name).suffix, Path(name).suffix.lower())
        (tree / "train/happy" / name).write_bytes(encoded(suffix))
    dataset = load(tree)
    assert len(dataset.split("train")) == 2 + len(names)
    assert not dataset.left_out


@pytest.mark.faults
@pytest.mark.parametrize(
    "kind", ["pipe", "/dev/zero", "dangling", "loop", "empty", "text", "float", "large", "cut off"]
)
def test_what_is_no_picture_is_named_or_skipped(tree: Path, kind: str) -> None:
    path = tree / "train/happy/b.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("/dev/zero", "dangling", "loop"):
        path.symlink_to({"loop": path.name}.get(kind, kind))
    else:
        content = {"empty": b"", "text": b"no picture", "float": b"PF\n2 2\n-1.0\n" + bytes(48)}
        content |= {"large": b"P5 60000 60000 255\n", "cut off": encoded(".png")[:40]}
        path.write_bytes(content[kind])
    with pytest.raises(DataError, match=r"b\.png cannot be decoded"):
        load(tree)
    assert load(tree, skip_bad=True).skipped == 1


@pytest.mark.faults
def test_names_need_not_be_text(tree: Path) -> None:
    folder = os.fsencode(tree / "train" / "happy")
    for name, content in ((b"\xff.png", encoded(".png")), (b"\xfe.png", b"")):
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(content)
    with pytest.raises(DataError) as caught:
        load(tree)
    str(caught.value).encode()
    dataset = load(tree, skip_bad=True)
    assert (len(dataset.split("train")), dataset.skipped) == (3, 1)
    os.mkdir(os.path.join(os.fsencode(tree / "train"), b"\xff" + b"x" * 250))
    with pytest.raises(DataError, match="a class is called") as caught:
        load(tree, skip_bad=True)
    str(caught.value).encode()


@pytest.mark.faults
def test_a_tree_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg"))
    with pytest.raises(DataError, match=r"no pictures found.*outside class folders \(1\)"):
        load(tmp_path)
