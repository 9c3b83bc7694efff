"""Trees as people have them: read, or told what was found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from training import write_pictures

from fer_edge.edge.errors import DataError
from fer_edge.train.data import class_folders, face_cache
from fer_edge.train.data.loading import load

TREE = ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")


def test_classes_at_the_root_are_the_train_split(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path, "a/1.png", "b/2.png")
    dataset = load(tmp_path)
    assert [*dataset.splits] == ["train"] and dataset.files["train"] == ["a/1.png", "b/2.png"]
    assert any("all pictures are the train split" in message for message in messages)
    with pytest.raises(DataError, match="--val-share"):
        dataset.split("val")


def test_folders_around_the_tree(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path / "outer/inner", *TREE)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "outer/._inner").touch()
    dataset = load(tmp_path)
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 2, "test": 2}
    assert dataset.left_out == {class_folders.HIDDEN: 2}
    assert any("inner, the only folder in it" in message for message in messages)
    (tmp_path / "other/more").mkdir(parents=True)
    with pytest.raises(DataError, match=r"outer holds the folders inner|other holds the folders more"):
        load(tmp_path)


@pytest.mark.faults
def test_what_systems_and_notebooks_leave_in_a_tree(tmp_path: Path) -> None:
    write_pictures(tmp_path, *TREE)
    (tmp_path / "train/a/._1.png").write_bytes((tmp_path / "train/a/1.png").read_bytes())
    write_pictures(tmp_path, "train/.ipynb_checkpoints/1.png", "train/a/.ipynb_checkpoints/1-checkpoint.png")
    for name in ("Thumbs.db", "IMG_1.HEIC"):
        (tmp_path / "test/a" / name).touch()
    dataset = load(tmp_path)
    assert dataset.classes == ("a", "b") and len(dataset.split("train")) == 2
    assert dataset.left_out == {
        class_folders.HIDDEN: 3,
        class_folders.NO_PICTURES: 1,
        ".heic files, OpenCV cannot read HEIC; export it as JPEG": 1,
    }


@pytest.mark.faults
@pytest.mark.parametrize("names", [("validation", "valid"), ("train", "Training"), ("test", "PrivateTest")])
def test_two_folders_for_one_split(tmp_path: Path, names: tuple[str, str]) -> None:
    write_pictures(tmp_path, *TREE, *(f"{name}/a/5.png" for name in names))
    with pytest.raises(DataError, match="which are both the") as caught:
        load(tmp_path)
    assert all(f"{name}/" in str(caught.value) for name in names)


def test_a_tree_of_damaged_pictures(tmp_path: Path) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of its 4 pictures can be decoded"):
        load(tmp_path, skip_bad=True)


def test_sizes_are_counted(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path, *TREE)
    for index, shape in enumerate([(23, 30), (480, 400), (100, 60), (100, 80)]):
        assert cv2.imwrite(str(tmp_path / f"train/a/size{index}.png"), np.full(shape, index, np.uint8))
    for _ in ("read", "cached"):
        dataset = load(tmp_path)
        assert (dataset.tiny, dataset.large) == (1, 2)
        assert any("1 pictures have a side of less than 24 pixels" in message for message in messages)
        assert any("2 pictures may show more than a face" in message for message in messages)
        messages.clear()


def test_a_tree_is_read_once_until_it_changes(tmp_path: Path, messages: list[str]) -> None:
    tree = write_pictures(tmp_path / "tree", *TREE)
    first = load(tree)
    assert any("reading 4 pictures" in message for message in messages)
    messages.clear()
    again = load(tree)
    assert not any("reading" in message for message in messages)
    assert all(np.array_equal(again.split(name).faces, first.split(name).faces) for name in ("train", "test"))
    assert (tmp_path / f"tree{face_cache.SUFFIX}").is_file() and isinstance(again.split("train").faces, np.memmap)
    (tree / "train/a/1.png").rename(tree / "train/b/1.png")
    assert load(tree).split("train").labels.tolist() == [1, 1]
    cv2.imwrite(str(tree / "train/b/1.png"), np.full((48, 48), 77, np.uint8))
    assert load(tree).split("train").faces[0].min() == 77


def test_the_cache_is_for_those_who_may_read_the_data(tmp_path: Path) -> None:
    tree = write_pictures(tmp_path / "tree", *TREE)
    for mode, expected in ((0o700, 0o600), (0o755, 0o644)):
        tree.chmod(mode)
        cache = tmp_path / f"tree{face_cache.SUFFIX}"
        cache.unlink(missing_ok=True)
        load(tree)
        assert cache.stat().st_mode & 0o777 == expected


@pytest.mark.faults
def test_a_read_only_place_costs_nothing_but_the_cache_beside_it(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_pictures(tmp_path / "tree", *TREE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / f"tree{face_cache.SUFFIX}").mkdir()  # as root, a folder may be written to whatever its permissions
    for _ in ("read", "cached"):
        assert isinstance(load(tree).split("train").faces, np.memmap)
    assert sum("reading 4 pictures" in message for message in messages) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree / "train/a/1.png"))
    messages.clear()
    for _ in ("read", "read again"):
        assert len(load(tree).split("train")) == 2
    assert sum("the next run reads the data again" in message for message in messages) == 2


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    write_pictures(tmp_path, *TREE)
    picture = np.zeros((60, 60), np.uint8)
    picture[:30] = 200  # the upper half; with orientation 3 it is the lower one
    ok, encoded = cv2.imencode(".jpg", picture)
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\3\0\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "train/a/1.jpg").write_bytes(encoded.tobytes()[:2] + segment + encoded.tobytes()[2:])
    turned = load(tmp_path).split("train").faces[0]
    assert ok and turned[:20].mean() < 50 < 150 < turned[-20:].mean()
