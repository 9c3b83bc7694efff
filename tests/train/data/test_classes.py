"""Classes come from the data: folders and CSV files with any names, FER2013's where all seven are there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from training import csv_row, write_pictures

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ConfigError, DataError, FerEdgeError
from fer_edge.edge.types import classes_problem
from fer_edge.train.data.class_names import Naming, parse_classes, resolve_classes
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.data.loading import load

RAF_DB = "1=surprise,2=fear,3=disgust,4=happy,5=sad,6=angry,7=neutral"


def test_class_folders_are_the_classes_sorted_by_name(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path, "train/drowsy/a.png", "train/Awake/a.png", "val/drowsy/a.png", "val/Awake/a.png")
    dataset = load(tmp_path)
    assert dataset.classes == ("Awake", "drowsy")
    assert dataset.split("train").labels.tolist() == [0, 1] and dataset.split("val").classes == dataset.classes
    assert any("2 classes: Awake, drowsy" in message for message in messages)
    assert load(tmp_path, classes="drowsy,Awake").split("train").labels.tolist() == [1, 0]


def test_synonyms_count_where_all_seven_are_there_alone(tmp_path: Path, messages: list[str]) -> None:
    names = ["Anger", "disgusted", " Fear", "joy", "SAD", "surprised", "neutral"]
    write_pictures(
        tmp_path, *(f"train/{name}/a.png" for name in names[:5]), *(f"test/{name}/a.png" for name in names[5:])
    )
    dataset = load(tmp_path)
    assert dataset.classes == CLASSES and sorted(dataset.split("train").labels) == [0, 1, 2, 3, 4]
    assert any("happy (joy)" in message for message in messages)
    assert any("no picture of surprise, neutral in the train split" in message for message in messages)
    write_pictures(tmp_path, "train/contempt/a.png")
    assert load(tmp_path).classes == tuple(sorted(name.strip() for name in [*names, "contempt"]))
    with pytest.raises(DataError, match="contempt"):
        load(tmp_path, classes="fer2013")


def test_two_of_the_seven_are_two_classes_unless_asked_for(tmp_path: Path) -> None:
    write_pictures(tmp_path, "train/happy/a.png", "train/sad/a.png")
    assert load(tmp_path).classes == ("happy", "sad")
    seven = load(tmp_path, classes="FER2013")
    assert seven.classes == CLASSES and seven.split("train").labels.tolist() == [3, 4]


@pytest.mark.faults
def test_numbers_need_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, *(f"{split}/{number}/a.png" for split in ("train", "test") for number in range(1, 8)))
    with pytest.raises(DataError, match="--classes 1=NAME,2=NAME"):
        load(tmp_path)
    named = load(tmp_path, classes=RAF_DB)
    assert named.classes[:2] == ("surprise", "fear") and named.split("test").labels.tolist() == [*range(7)]
    assert load(tmp_path, classes="7,6,5,4,3,2,1").split("train").labels.tolist() == [6, 5, 4, 3, 2, 1, 0]
    merged = load(tmp_path, classes="1=other,2=other,3=other,4=smiling,5=other,6=other,7=other")
    assert merged.classes == ("other", "smiling") and merged.split("train").counts().tolist() == [6, 1]


def test_labels_may_be_left_out(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path, "train/happy/a.png", "train/sad/b.png", "train/unsure/c.png", "val/unsure/d.png")
    dataset = load(tmp_path, classes="sad=sad,unsure=-,happy=happy")
    assert dataset.classes == ("sad", "happy") and [*dataset.splits] == ["train"]
    assert dataset.files == {"train": ["train/happy/a.png", "train/sad/b.png"]}
    assert dataset.split("train").labels.tolist() == [1, 0]
    assert any("--classes leaves out (2)" in message for message in messages)
    with pytest.raises(DataError, match="no picture is left"):
        load(tmp_path, classes="sad=-,unsure=-,happy=-,a=a,b=b")


@pytest.mark.faults
def test_classes_that_cannot_be(tmp_path: Path) -> None:
    write_pictures(tmp_path / "one", "train/happy/a.png")
    write_pictures(tmp_path / "capitals", "train/Awake/a.png", "val/awake/b.png")
    write_pictures(tmp_path / "many", *(f"train/person{index}/a.png" for index in range(101)))
    write_pictures(tmp_path / "empty", "train/a/a.png", "train/b/a.png")
    (tmp_path / "empty/train/new folder").mkdir()
    found = {"one": "found: happy", "capitals": "capitals alone", "many": "more than 100", "empty": "new folder has no"}
    for name, message in found.items():
        with pytest.raises(DataError, match=message) as caught:
            load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with_empty = load(tmp_path / "empty", classes="new folder,b,a")
    assert with_empty.split("train").counts().tolist() == [0, 1, 1]
    with pytest.raises(DataError, match=r"b \(1 pictures\)"):
        load(tmp_path / "empty", classes="a,new folder")


@pytest.mark.parametrize(
    "text", ["", "a", "a,a", "1=a,b", "1=a", "1=a,1=b", "a,,b", "=a,1=b", "1=,2=b", "a" * 65 + ",b", "\0,b", ","]
)
def test_what_classes_does_not_take(mistake: Callable[..., str], tmp_path: Path, text: str) -> None:
    write_pictures(tmp_path, "train/a/a.png", "train/b/a.png")
    assert "--classes" in mistake("data", "info", tmp_path, "--classes", text)


def attempt(function: Callable[..., Naming], *values: object) -> Naming | FerEdgeError:
    try:
        return function(*values)
    except FerEdgeError as error:
        return error


@given(st.text() | st.lists(st.text(max_size=5) | st.sampled_from(["1=a", "2=b", "3=a", "4=-", "c"])).map(",".join))
def test_any_text_names_classes_or_is_one_error(text: str) -> None:
    naming = attempt(parse_classes, text)
    if isinstance(naming, Naming):
        assert classes_problem(naming.classes) is None
        assert {*naming.indices.values()} - {-1} == {*range(len(naming.classes))} or naming.synonyms
    else:
        assert isinstance(naming, ConfigError) and len(str(naming)) < 400


@given(st.lists(st.text(max_size=6) | st.sampled_from([*CLASSES, "joy", "1", "2"]), unique=True, max_size=12))
def test_any_labels_become_valid_classes_or_one_error(labels: list[str]) -> None:
    naming = attempt(resolve_classes, labels, [1] * len(labels), None)
    if isinstance(naming, Naming):
        assert classes_problem(naming.classes) is None
        assert all(naming.index(label) is not None for label in labels)
    else:
        assert isinstance(naming, DataError) and len(str(naming)) < 600


def write_csv(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


FACE = np.arange(48 * 48).reshape(48, 48) % 256
PIXELS = " ".join(map(str, FACE.ravel()))


def test_a_csv_with_names_and_pixels(tmp_path: Path) -> None:
    rows = (f"{PIXELS};müde ;val", f"{PIXELS};wach;train", f"{PIXELS};müde;train")
    dataset = load(write_csv(tmp_path / "a.csv", "pixels;Label;Split", *rows))
    assert dataset.classes == ("müde", "wach")
    assert dataset.split("train").labels.tolist() == [1, 0] and np.array_equal(dataset.split("val").faces, [FACE])


def test_a_csv_with_names_and_picture_files(tmp_path: Path, messages: list[str]) -> None:
    write_pictures(tmp_path / "pictures", "a.png", "b, c.png", "d.png")
    rows = ("pictures/a.png,no", '"pictures/b, c.png",yes', "pictures/d.png,yes", "pictures/missing.png,no", "x,")
    path = write_csv(tmp_path / "a.csv", "path,class", *rows)
    with pytest.raises(DataError, match="row 6: the class is empty"):
        load(path)
    for _ in ("read", "cached"):
        dataset = load(path, skip_bad=True)
        assert dataset.classes == ("no", "yes") and dataset.split("train").labels.tolist() == [0, 1, 1]
        assert dataset.files["train"] == ["pictures/a.png", "pictures/b, c.png", "pictures/d.png"]
        assert dataset.skipped == 2 and "2 bad pictures skipped" in messages[-1]
    write_pictures(tmp_path / "pictures", "d.png")
    assert np.array_equal(*load(path, skip_bad=True).split("train").faces[[0, 2]])  # the same picture now: read again


def test_numbers_in_a_csv(tmp_path: Path) -> None:
    rows = [csv_row(label, FACE, "Training") for label in range(8)]
    path = write_csv(tmp_path / "affect.csv", "emotion,pixels,Usage", *rows)
    with pytest.raises(DataError, match="row 9: emotion is '7', expected 0 to 6"):
        load(path)
    eight = load(path, classes=",".join(f"{label}={name}" for label, name in enumerate([*CLASSES, "contempt"])))
    assert eight.classes == (*CLASSES, "contempt") and eight.split("train").labels.tolist() == [*range(8)]
    three = ",".join(f"{name}={'positive' if name == 'happy' else 'other'}" for name in CLASSES)
    merged = load(path, skip_bad=True, classes=three)
    assert merged.classes == ("other", "positive") and merged.split("train").counts().tolist() == [6, 1]
    label = write_csv(tmp_path / "label.csv", "label,pixels", *(f"{label},{PIXELS}" for label in range(3)))
    with pytest.raises(DataError, match="--classes 0=NAME,1=NAME,2=NAME"):
        load(label)
    assert load(label, classes="0=a,1=b,2=c").split("train").labels.tolist() == [0, 1, 2]
    decimal = write_csv(tmp_path / "decimal.csv", "label,pixels", f"0.0,{PIXELS}", f"1.0,{PIXELS}")
    with pytest.raises(DataError, match=r"--classes 0\.0=NAME,1\.0=NAME"):
        load(decimal)


@pytest.mark.faults
@pytest.mark.parametrize(
    "header", ["label,emotion,pixels", "label,path,file", "label,pixels,usage,split", "label", "path"]
)
def test_columns_must_be_clear(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match="expected"):
        load(write_csv(tmp_path / "a.csv", header, "a,b,c,d"))


def test_info_counts_own_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path, "train/total/a.png", "train/b/a.png", "train/b/c.png", "val/b/d.png")
    shown = CliRunner().invoke(main, ["data", "info", str(tmp_path), "--json"])
    found = json.loads(shown.stdout)
    assert found["classes"] == ["b", "total"] and found["splits"] == {
        "train": {"b": 2, "total": 1},
        "val": {"b": 1, "total": 0},
    }
    assert found["absent_classes"] == {"train": [], "val": ["total"]}
    assert "no picture of total in the val split" in shown.stderr
    out = tmp_path.with_name(f"{tmp_path.name}-copy")
    assert CliRunner().invoke(main, ["data", "prepare", str(tmp_path), str(out)]).exit_code == 0
    assert load(out).classes == ("b", "total")
