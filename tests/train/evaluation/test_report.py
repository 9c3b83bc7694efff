"""Tables and figures of two to a hundred classes with names of any length."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.report import WIDEST_TABLE, confusion_table, metrics_table, plot_confusion


def names(count: int, length: int) -> tuple[str, ...]:
    return tuple(f"{index:02d}".ljust(length, "x") for index in range(count))


def predictions(count: int, rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(count), rng.integers(0, count, rows)])
    return rng.dirichlet(np.ones(count), len(labels)) + np.eye(count)[labels] / count, labels


@pytest.mark.parametrize(("count", "length"), [(2, 2), (7, 8), (7, 64), (20, 12), (100, 3), (100, 64)])
def test_every_class_has_its_row_and_lines_stay_readable(count: int, length: int) -> None:
    metrics = measure(*predictions(count), names(count, length))
    rows = metrics_table(metrics).splitlines()
    assert [row.split()[0] for row in rows[1:-1]] == list(metrics.classes)
    assert len({len(row) for row in rows[1:-1]}) == 1  # the columns are straight
    table = confusion_table(metrics).splitlines()
    assert max(map(len, table)) <= WIDEST_TABLE + len("   (predicted)")
    if len(table) == count + 1:
        cells = [[int(cell) for cell in row.split()[-count:]] for row in table[1:]]
        assert np.array_equal(cells, metrics.confusion)
    else:
        worst = metrics.confusion - np.diag(metrics.confusion.diagonal())
        assert int(table[1].split()[0]) == worst.max()


def test_a_perfect_answer_of_many_classes_has_no_confusions() -> None:
    labels = np.arange(100)
    table = confusion_table(measure(np.eye(100)[labels], labels, names(100, 64)))
    assert table.splitlines()[1:] == ["     0"]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "side"), [(2, 800), (7, 800), (100, 4000)])
def test_a_figure_grows_with_the_classes(count: int, side: int, tmp_path: Path) -> None:
    plot_confusion(tmp_path / "confusion.png", measure(*predictions(count), names(count, 64)), "title")
    height, width, _ = cv2.imread(str(tmp_path / "confusion.png")).shape
    assert side / 2 < min(height, width) <= max(height, width) < side
