"""FER+'s votes: shares in the order of the classes, and labels of eight, for the right rows only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from predictions import CLASSES
from training import FERPLUS, write_ferplus

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.train.data.ferplus import COLUMNS, EIGHT, label_by_votes, read_votes
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.recipes import Recipe
from fer_edge.train.soft_targets import read_soft_targets


def split(labels: NDArray[np.int64]) -> Split:
    return Split(np.zeros((len(labels), 48, 48), np.uint8), labels, CLASSES)


def test_votes_are_shares_in_the_order_of_the_classes(tmp_path: Path) -> None:
    path = write_ferplus(tmp_path / "votes.csv", "4,0,0,1,3,2,0,0,0,0", "0,0,0,0,0,0,0,5,3,2")
    shares = read_votes(path, split(np.array([0, 5])))
    assert np.allclose(shares[0], [0.3, 0.2, 0, 0, 0.1, 0, 0.4])
    assert np.allclose(shares[1], np.eye(7)[5])  # contempt, unknown and no face: its label stands


@pytest.mark.parametrize(
    ("rows", "message"), [(("1,1,1,1,1,1,1,1,1,1",), "Training rows"), (("a,1,1,1,1,1,1,1,1,1",) * 2, "row 2")]
)
def test_votes_that_do_not_fit_are_one_line(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_votes(write_ferplus(tmp_path / "votes.csv", *rows), split(np.array([0, 5])))
    (tmp_path / "other.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(DataError, match="lacks the column"):
        read_votes(tmp_path / "other.csv", split(np.array([0])))


def test_votes_of_other_rows_are_refused(tmp_path: Path) -> None:
    labels, columns = np.arange(42) % 7, [*COLUMNS, "unknown", "NF"]
    rows = [[9 * (COLUMNS.get(column) == CLASSES[label]) for column in columns] for label in labels]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([f"Usage,{','.join(columns)}", *(f"Training,{','.join(map(str, row))}" for row in rows)]))
    assert np.array_equal(read_votes(path, split(labels)).argmax(axis=1), labels)
    with pytest.raises(DataError, match="other rows"):
        read_votes(path, split(np.sort(labels)))  # a folder tree's order


ROWS = (
    "4,0,0,1,3,2,0,0,0,0",  # neutral 4, anger 3, disgust 2; sadness by one alone
    "9,1,0,0,0,0,0,0,0,0",  # neutral, of nine
    "0,0,0,1,1,0,0,8,0,0",  # contempt
    "0,0,0,0,4,0,0,0,6,0",  # unknown
    "0,0,0,0,0,0,0,0,0,10",  # no face
    "0,5,5,0,0,0,0,0,0,0",  # a tie
    "0,4,1,1,0,1,0,1,1,1",  # happiness, as all others have a single vote
)


def fer2013(*usages: str, labels: list[int]) -> Dataset:
    faces = np.arange(len(labels) * 48 * 48).reshape(-1, 48, 48).astype(np.uint8)
    return Dataset(Path("fer2013.csv"), {usage: Split(faces, np.array(labels), CLASSES) for usage in usages})


def test_labels_are_the_majority_and_the_votes_come_along(tmp_path: Path, messages: list[str]) -> None:
    path = write_ferplus(tmp_path / "votes.csv", *ROWS)
    data = fer2013("train", labels=[6, 6, 0, 0, 3, 3, 3])
    labelled = label_by_votes(data, path).split("train")
    assert labelled.classes == EIGHT == (*CLASSES, "contempt")
    assert [EIGHT[label] for label in labelled.labels] == ["neutral", "contempt", "happy"]
    assert np.array_equal(labelled.faces, data.split("train").faces[[1, 2, 6]])
    assert labelled.votes is not None and np.array_equal(labelled.votes.argmax(axis=1), labelled.labels)
    assert np.allclose(labelled.votes, np.eye(8)[labelled.labels])
    assert "3 of 7 rows of train" in messages[-1]
    rows = labelled.rows(np.array([True, False, True]))
    assert rows.votes is not None and np.array_equal(rows.votes.argmax(axis=1), rows.labels)


def test_votes_that_differ_are_soft_targets(tmp_path: Path) -> None:
    path = write_ferplus(tmp_path / "votes.csv", "0,0,0,2,6,0,0,0,2,0")
    votes = label_by_votes(fer2013("train", labels=[0]), path).split("train").votes
    assert votes is not None and np.allclose(votes[0], [0.75, 0, 0, 0, 0.25, 0, 0, 0])


def test_labels_for_other_data_are_refused(tmp_path: Path) -> None:
    path = write_ferplus(tmp_path / "votes.csv", *ROWS)
    others = Split(np.zeros((7, 48, 48), np.uint8), np.arange(7) % 2, ("a", "b"))
    with pytest.raises(DataError, match=r"--ferplus-labels .*: the data has the classes a, b"):
        label_by_votes(Dataset(Path("tree"), {"train": others}), path)
    for usages, labels in ((("train",), [6]), (("train", "test"), [6, 6, 0, 0, 3, 3, 3])):
        with pytest.raises(DataError, match=r"has (7 Training|0 PrivateTest) rows; expected \d"):
            label_by_votes(fer2013(*usages, labels=labels), path)


def test_the_commands_take_the_labels(synthetic_csv: Path, tmp_path: Path) -> None:
    columns = [COLUMNS[name] for name in FERPLUS.split(",")[2:-2]]
    lines = [FERPLUS]
    for usage, part in zip(("Training", "PublicTest", "PrivateTest"), load(synthetic_csv).splits.values(), strict=True):
        names = ["contempt", *(CLASSES[label] for label in part.labels[1:])]
        lines += [f"{usage},a.png,{','.join(str(9 * (name == column)) for column in columns)},1,0" for name in names]
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join(lines))
    done = CliRunner().invoke(main, ["data", "info", str(synthetic_csv), "--ferplus-labels", str(path), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["splits"]["train"]["contempt"] == 1
    train = load(synthetic_csv, ferplus=path).split("train")
    votes = read_soft_targets(train, (), None, Recipe()).votes
    assert votes is not None and np.array_equal(votes.argmax(axis=1), train.labels)
    with pytest.raises(DataError, match="--ferplus-labels has the votes already"):
        read_soft_targets(train, (), path, Recipe())
