"""FER+ votes belong to rows: given to other faces they would teach what nobody saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_edge.edge.errors import DataError
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.training_targets import VOTES, read_votes


def test_votes_of_other_rows_are_refused(tmp_path: Path) -> None:
    labels, columns = np.arange(42) % 7, list(VOTES)
    rows = [[9 * (VOTES[column] == EMOTIONS[label]) for column in columns] for label in labels]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([f"Usage,{','.join(columns)}", *(f"Training,{','.join(map(str, row))}" for row in rows)]))
    assert np.array_equal(read_votes(path, labels).argmax(axis=1), labels)
    with pytest.raises(DataError, match="votes are of other rows"):
        read_votes(path, np.sort(labels))  # a folder tree's order
