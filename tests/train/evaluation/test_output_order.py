"""The order of a network's classes, measured; through `models add --data`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from dense_networks import dense_network
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.cli import main
from fer_edge.edge.tflite.card import card_path, read_card
from fer_edge.train.data.loading import load
from fer_edge.train.evaluation.output_order import best_order

Mistake = Callable[..., str]


@given(st.integers(1, 5).flatmap(lambda count: arrays(np.int64, (count, count), elements=st.integers(0, 30))))
def test_no_order_names_more_pictures_correctly(confusion: np.ndarray) -> None:
    count = len(confusion)
    found = best_order(confusion)
    assert sorted(found) == list(range(count))
    totals = [sum(confusion[label, output] for output, label in enumerate(each)) for each in permutations(range(count))]
    assert sum(confusion[label, output] for output, label in enumerate(found)) == max(totals)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network that tells the seven kinds of synthetic faces apart, in the order of their stripes."""
    path = tmp_path / "own.tflite"
    stripes = np.full((7, 48, 48, 3), -1 / 7)
    for label, weights in enumerate(stripes):
        weights[6 * label + 2 : 6 * label + 7] += 1
    path.write_bytes(dense_network(stripes / 100))
    return path


def test_accuracy_is_measured_and_goes_into_the_card(network: Path, synthetic_csv: Path) -> None:
    part = load(synthetic_csv).split("val")
    words = ["models", "add", str(network), "--labels", ",".join(part.classes), "--range", "0..1"]
    done = CliRunner().invoke(main, [*words, "--data", str(synthetic_csv)])
    assert done.exit_code == 0, done.output
    (figures,) = read_card(network).accuracy["runtimes"].values()
    assert figures == {"pictures": 42, "accuracy": 1.0} and "accuracy: 100.00 % of 42 gray" in done.stdout
    assert read_card(network).accuracy["data"] == synthetic_csv.name


def test_an_order_that_fits_better_is_told_and_nothing_is_written(
    network: Path, synthetic_csv: Path, mistake: Mistake
) -> None:
    right = load(synthetic_csv).classes
    wrong = sorted(right)
    words = ["models", "add", network, "--range", "0..1", "--data", synthetic_csv, "--labels"]
    line = mistake(*words, ",".join(wrong))
    assert f"with {','.join(right)} 100.0 %" in line and not card_path(network).exists()
    assert "expected those of the network" in mistake(*words, "a,b,c,d,e,f,g")


def test_ranges_are_tried_on_data_and_none_is_chosen(network: Path, synthetic_csv: Path, mistake: Mistake) -> None:
    labels = ",".join(load(synthetic_csv).classes)
    line = mistake("models", "add", network, "--labels", labels, "--data", synthetic_csv)
    assert all(f"% with --range {each}" in line for each in ("0..1", "-1..1", "0..255"))
    assert not card_path(network).exists()


def test_pictures_in_files_are_measured_in_colour_at_their_own_size(tmp_path: Path) -> None:
    """Two classes that differ by colour alone, which gray faces do not show."""
    for index in range(12):
        colour = (20, 100, 220) if index % 2 else (220, 100, 20)  # blue, green, red
        folder = tmp_path / "data" / "val" / ("red" if index % 2 else "blue")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index}.png"), np.full((60 + index, 80, 3), colour, np.uint8))
    weights = np.zeros((2, 32, 32, 3))
    weights[0, ..., 0], weights[1, ..., 2] = 0.01, 0.01
    path = tmp_path / "own.tflite"
    path.write_bytes(dense_network(weights))
    words = ["models", "add", str(path), "--labels", "red,blue", "--range", "0..1", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and "accuracy: 100.00 % of 12 pictures" in done.stdout, done.output
