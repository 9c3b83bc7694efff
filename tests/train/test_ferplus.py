"""FER+'s votes: shares in the order of the classes, for the right rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from predictions import CLASSES
from training import write_ferplus

from fer_edge.edge.errors import DataError
from fer_edge.train.data.splits import Split
from fer_edge.train.ferplus import COLUMNS, read_votes


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
    labels, columns = np.arange(42) % 7, list(COLUMNS)
    rows = [[9 * (COLUMNS[column] == CLASSES[label]) for column in columns] for label in labels]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([f"Usage,{','.join(columns)}", *(f"Training,{','.join(map(str, row))}" for row in rows)]))
    assert np.array_equal(read_votes(path, split(labels)).argmax(axis=1), labels)
    with pytest.raises(DataError, match="other rows"):
        read_votes(path, split(np.sort(labels)))  # a folder tree's order
