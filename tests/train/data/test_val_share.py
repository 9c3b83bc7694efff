"""--val-share holds out a part of each class, with the pictures of one source on one side; --drop-duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from training import csv_row, synthetic_rows, write_pictures

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.train.data.duplicates import digests
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.data.val_share import source_name, val_rows


def smooth_faces(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 48, 48) pictures that are not alike."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(128, 160, (count, 48, 48)).clip(0, 255).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(face, (0, 0), 1.5) for face in noise])


def write_faces(root: Path, *names: str) -> Path:
    """Pictures that are not alike."""
    write_pictures(root, *names)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(root / name), smooth_faces(1, index)[0])
    return root


def test_each_class_gives_its_share_and_the_same_pictures_each_time(tmp_path: Path, messages: list[str]) -> None:
    letters = "abcdefghij"
    names = [f"awake/{one}{other}.png" for one in letters[:8] for other in letters]
    names += [f"drowsy/{one}{other}x.png" for one in letters[:4] for other in letters[:5]]
    tree = write_faces(tmp_path / "tree", *names)
    dataset, again = load(tree, val_share=0.15), load(tree, val_share=0.15)
    assert dataset.split("val").counts().tolist() == [12, 3] and dataset.split("train").counts().tolist() == [68, 17]
    assert fingerprint(dataset.split("val")) == fingerprint(again.split("val"))
    assert sorted([*dataset.files["val"], *dataset.files["train"]]) == sorted(names)
    assert any("awake 12 of 80, drowsy 3 of 20" in message for message in messages)
    assert cv2.imwrite(str(tree / "awake/another.png"), smooth_faces(1, 999)[0])
    more = load(tree, val_share=0.15)
    assert len({*more.files["val"]} ^ {*dataset.files["val"]}) <= 2


def test_sources_are_not_divided(tmp_path: Path) -> None:
    names = [f"{label}/{person}_{number}.png" for label in "ab" for person in "klmnopqrst" for number in (1, 2, 3)]
    dataset = load(write_faces(tmp_path, *names), val_share=0.2)
    sides = [{source_name(path) for path in dataset.files[name]} for name in ("train", "val")]
    assert not sides[0] & sides[1] and len(sides[1]) == 2


def test_copies_stay_together_where_names_say_nothing(messages: list[str]) -> None:
    faces = smooth_faces(40)
    copies = np.stack([cv2.convertScaleAbs(face, alpha=0.9, beta=8) for face in faces])
    train = Split(np.concatenate([faces, copies]), np.tile(np.arange(40) % 2, 2), ("a", "b"))
    mask, _ = val_rows(train, [f"IMG_{number:04}.png" for number in range(80)], 0.25)
    assert np.array_equal(mask[:40], mask[40:]) and mask.sum() == 20
    assert any("IMG and a number are not taken for one source" in message for message in messages)


def test_few_large_sources_give_a_class_what_they_can() -> None:
    train = Split(smooth_faces(20), np.repeat([0, 1], 10), ("a", "b"))
    files = [f"{person}-{number}.png" for person in "vwxy" for number in range(5)]
    mask, divided = val_rows(train, files, 0.1)
    assert [mask[start : start + 5].sum() for start in (0, 5, 10, 15)].count(5) == 2 and train.rows(mask).counts().all()
    assert not divided


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdefgh")), min_size=2, max_size=60), st.floats(0.01, 0.5)
)
def test_no_class_is_lost_and_no_source_divided(rows: list[tuple[int, str]], share: float) -> None:
    labels = np.array([label for label, _ in rows])
    faces = np.zeros((len(rows), 48, 48), np.uint8)
    faces[:, 0, :2] = np.arange(len(rows))[:, None] // [200, 1]
    train = Split(faces, labels, ("a", "b", "c", "d"))
    files = [f"{name}_{number}.png" for number, (_, name) in enumerate(rows)]
    mask, divided = val_rows(train, files, share)
    kept, total = train.rows(~mask).counts(), train.counts()
    assert (kept[total > 0] > 0).all() and (train.rows(mask).counts()[total > 1] > 0).all()
    counts = {(name, label): [row[1] for row in rows if row[0] == label].count(name) for label, name in rows}
    numbering = {name for (name, label), count in counts.items() if count > max(1, total[label] / 2)}
    for name in {name for _, name in rows} - numbering:
        sides = {held for held, (label, other) in zip(mask.tolist(), rows, strict=True) if (label, other) in
                 [(each, name) for each in range(4) if each not in divided]}  # fmt: skip
        assert len(sides) <= 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a_01.png", "a"),
        ("a-2.jpg", "a"),
        ("a (3).png", "a"),
        ("a.b 4.png", "a.b"),
        ("007.png", "007"),
        ("x/im7.png", "im"),
    ],
)
def test_names_of_sources(name: str, source: str) -> None:
    assert source_name(name) == source


@given(st.text(min_size=1))
def test_any_name_has_a_source(name: str) -> None:
    path = name.replace("/", "_").replace("\0", "_")
    assert source_name(f"{path}.png") or not path.strip(".")


def test_pictures_of_one_recording_are_divided_with_a_warning(tmp_path: Path, messages: list[str]) -> None:
    tree = write_faces(tmp_path, *(f"awake/{letter}.png" for letter in "abcdefghij"))
    write_pictures(tree, *(f"drowsy/take-{number:02}.png" for number in range(20)))
    for path in (tree / "drowsy").iterdir():
        assert cv2.imwrite(str(path), smooth_faces(1, 77)[0] // 2 + np.uint8(int(path.stem[-2:])))
    dataset = load(tree, val_share=0.2)
    assert dataset.split("val").counts().tolist() == [2, 4]
    assert dataset.files["val"][-4:] == [f"drowsy/take-{number}.png" for number in (16, 17, 18, 19)]
    assert any("the pictures of drowsy are too much alike" in message for message in messages)


def test_refused(tmp_path: Path, mistake: Callable[..., str]) -> None:
    assert "--val-share" in mistake("data", "info", tmp_path, "--val-share", 1)
    write_pictures(tmp_path / "split", "train/a/x.png", "train/b/y.png", "valid/a/z.png")
    with pytest.raises(DataError, match="has a val split of 1"):
        load(tmp_path / "split", val_share=0.15)
    write_pictures(tmp_path / "few", "a/x.png", "b/y.png")
    with pytest.raises(DataError, match="expected two at least"):
        load(tmp_path / "few", val_share=0.15)


def test_duplicates_are_dropped_from_train_alone(tmp_path: Path, messages: list[str]) -> None:
    faces = smooth_faces(30)
    near = cv2.convertScaleAbs(faces[0], alpha=0.9, beta=8)
    rows = [csv_row(index % 7, face, "Training") for index, face in enumerate(faces)]
    rows += [csv_row(3, faces[9], "Training"), csv_row(2, faces[9], "Training"), csv_row(0, near, "PublicTest")]
    rows += [
        csv_row(1, faces[1], "PrivateTest"),
        csv_row(1, faces[1], "PublicTest"),
        csv_row(5, faces[1], "PublicTest"),
    ]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    plain, dropped = load(path), load(path, drop_duplicates=True)
    # row 9 has label 2, as the second of its two copies
    assert dropped.dropped == {"val": 2, "test": 0, "repeated": 1}
    assert digests(dropped.split("train").faces) == digests(np.stack([*faces[2:], faces[9]]))
    assert all(fingerprint(dropped.split(name)) == fingerprint(plain.split(name)) for name in ("val", "test"))
    assert any(
        "3 of 32 train pictures left out (2 also in val, 0 also in test, 1 repeated)" in each for each in messages
    )
    shown = CliRunner().invoke(main, ["data", "info", str(path), "--json", "--drop-duplicates"])
    assert json.loads(shown.stdout)["dropped"] == dropped.dropped
    only_test = tmp_path / "test.csv"
    only_test.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "PrivateTest")]))
    with pytest.raises(DataError, match="no 'train' split"):
        load(only_test, drop_duplicates=True)
