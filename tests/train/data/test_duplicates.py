"""Duplicates: byte for byte, and the same photograph cropped, scaled, mirrored or brightened otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from training import csv_row

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.train.data import clean_rows as rows
from fer_edge.train.data import duplicates, photographs
from fer_edge.train.data.conflicts import resolve
from fer_edge.train.data.duplicate_counts import duplicate_remarks
from fer_edge.train.data.duplicates import constant, exact_groups, overlap, photograph_groups
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.data.loading import load
from fer_edge.train.data.photographs import same_photographs
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import SoftTargets, training_set

Pictures = NDArray[np.uint8]


def photograph(seed: int) -> Pictures:
    """A (96, 96) uint8 picture like no other."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 110, (size, size)), (96, 96), interpolation=cv2.INTER_CUBIC) for size in (5, 14)
    ]
    return np.clip(sum(layers), 0, 255).astype(np.uint8)


def crop(picture: Pictures, left: int = 10, top: int = 10, side: int = 76) -> Pictures:
    """The (48, 48) face in a photograph."""
    part = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(part, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


CHANGES = {
    "moved": lambda picture: crop(picture, 15, 7),
    "smaller": lambda picture: crop(picture, 6, 6, 84),
    "larger": lambda picture: crop(picture, 14, 14, 68),
    "mirrored": lambda picture: crop(picture, 13, 10)[:, ::-1],
    "darker": lambda picture: (crop(picture) // 2).astype(np.uint8),
    "brighter": lambda picture: np.minimum(crop(picture).astype(int) + 40, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def others() -> Pictures:
    return np.stack([crop(photograph(seed)) for seed in range(60)])


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_photograph_is_found_however_it_is_cropped(others: Pictures, change: str) -> None:
    changed = np.stack([CHANGES[change](photograph(seed)) for seed in (3, 41)])
    assert same_photographs(changed, others).tolist() == [[0, 3], [1, 41]]
    assert same_photographs(np.concatenate([others, changed])).tolist() == [[3, 60], [41, 61]]


def test_other_photographs_and_pictures_without_contrast_are_no_pairs(others: Pictures) -> None:
    flat = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 90, 90, 255)])
    assert not len(same_photographs(others))
    assert not len(same_photographs(flat)) and not len(same_photographs(flat, others))
    assert not len(same_photographs(others[:0], others)) and not len(same_photographs(others[:1]))


def test_pictures_with_a_blank_middle_are_no_pairs(others: Pictures) -> None:
    """Their borders are alike enough to be compared, and a correlation with nothing is none."""
    framed = np.full((6, 48, 48), 200, np.uint8)
    framed[:, :2] = 80 + others[:6, :2] // 4
    assert not len(same_photographs(framed)) and not len(same_photographs(others[6:9], framed))


def test_little_memory_finds_the_same_pairs(others: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.concatenate([others, np.stack([CHANGES["moved"](photograph(seed)) for seed in (0, 7, 59)])])
    monkeypatch.setattr(photographs, "_CORRELATIONS", 5 * len(pictures))
    assert same_photographs(pictures).tolist() == [[0, 60], [7, 61], [59, 62]]
    assert same_photographs(pictures[60:], pictures[:60]).tolist() == [[0, 0], [1, 7], [2, 59]]


def test_rows_and_groups(others: Pictures) -> None:
    copies = [others[5], CHANGES["moved"](photograph(9)), crop(photograph(99)), np.zeros((48, 48), np.uint8)]
    split = Split(np.stack([*copies, copies[0], copies[3]]), np.array([0, 1, 2, 3, 4, 3]), CLASSES)
    found = overlap(split, Split(np.concatenate([others, copies[3][None]]), np.zeros(61, np.int64), CLASSES))
    assert found.exact.tolist() == [True, False, False, True, True, True]
    assert found.near.tolist() == [False, True, False, False, False, False]
    assert found.clean.tolist() == [False, False, True, False, False, False]
    assert exact_groups(split).tolist() == photograph_groups(split).tolist() == [0, 1, 2, 3, 0, 3]
    assert constant(split).tolist() == [False, False, False, True, False, True]
    chain = [crop(photograph(7), 10 + step, 10) for step in (0, 4, 8)]
    assert photograph_groups(Split(np.stack(chain), np.arange(3), CLASSES)).tolist() == [0, 0, 0]


def test_pairs_are_cached_and_found_again_where_the_cache_is_no_use(
    others: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, reference = (Split(faces, np.zeros(len(faces), np.int64), CLASSES) for faces in (others[:3], others))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    searches: list[int] = []

    def search(faces: Pictures, others: Pictures | None = None) -> NDArray[np.int64]:
        searches.append(len(faces))
        return same_photographs(faces, others)

    def in_reference(count: int) -> None:
        assert overlap(split, reference).exact.all() and len(searches) == count

    monkeypatch.setattr(duplicates, "same_photographs", search)
    in_reference(1)
    in_reference(1)
    (cache,) = (tmp_path / "cache").rglob("*.npz")
    for damage in (cache.read_bytes()[:-9], b""):
        cache.write_bytes(damage)
        in_reference(len(searches) + 1)
        in_reference(len(searches))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made in it
    in_reference(len(searches) + 1)


def test_conflicts_are_resolved_by_votes_or_dropped(others: Pictures) -> None:
    def copies(seed: int) -> list[Pictures]:
        return [crop(photograph(seed)), *(CHANGES[change](photograph(seed)) for change in ("moved", "smaller"))]

    faces = np.stack([*copies(70), *copies(71)[:2], *copies(72)[:2], others[0]])
    split = Split(faces, np.array([3, 5, 3, 0, 6, 2, 2, 4]), CLASSES)
    for resolution, labels, kept in (
        ("keep", [3, 5, 3, 0, 6, 2, 2, 4], range(8)),
        ("vote", [3, 3, 3, 2, 2, 4], [0, 1, 2, 5, 6, 7]),
        ("drop", [2, 2, 4], [5, 6, 7]),
    ):
        resolved, mask = resolve(split, resolution)
        assert (resolved[mask].tolist(), np.flatnonzero(mask).tolist()) == (labels, list(kept)), resolution
    dropped = training_set(split, replace(Recipe(), conflicts="drop"), SoftTargets())
    assert len(dropped) == 3 and dropped.weights.mean() == pytest.approx(1)
    with pytest.raises(DataError, match=r"no face of the 2 .*--conflicts keep"):
        training_set(split.rows(np.arange(8) // 2 == 0), replace(Recipe(), conflicts="vote"), SoftTargets())


@pytest.fixture
def table(tmp_path: Path, others: Pictures) -> Path:
    """Twenty training faces, two of them of one photograph with other labels; one val face is among them, two not."""
    lines = ["emotion,pixels,Usage"]
    lines += [csv_row(seed % 7, others[seed], "Training") for seed in range(20)]
    lines.append(csv_row(4, CHANGES["moved"](photograph(2)), "Training"))
    lines += [csv_row(1, CHANGES["smaller"](photograph(1)), "PublicTest"), csv_row(2, others[40], "PublicTest")]
    lines.append(csv_row(3, others[41], "PublicTest"))
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_info_counts_duplicates(table: Path) -> None:
    counted = json.loads(CliRunner().invoke(main, ["data", "info", str(table), "--json"]).stdout)["duplicates"]
    assert counted["train"]["exact"]["groups"] == counted["train"]["constant"] == 0
    assert list(counted["train"]["photograph"].values()) == [1, 2, 1, 2]
    assert counted["val"]["in_train"] == {"exact": 0, "photograph": 1}
    text = CliRunner().invoke(main, ["data", "info", str(table)]).stdout
    assert [line.split()[-3:] for line in text.splitlines() if "in train" in line] == [["–", "0", "–"], ["–", "1", "–"]]
    quick = CliRunner().invoke(main, ["data", "info", str(table), "--no-near-duplicates"])
    assert quick.exit_code == 0 and "photograph" not in quick.stdout
    assert [line.split()[-3:] for line in quick.stdout.splitlines() if "in train" in line] == [["–", "0", "–"]]


def test_files_of_one_photograph_with_several_labels_are_named(tmp_path: Path, others: Pictures) -> None:
    pictures = {"a/1": others[2], "b/2": CHANGES["moved"](photograph(2)), "a/3": others[1], "a/4": others[1]}
    pictures["b/5"] = others[5]
    for name, picture in pictures.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    for copy in ("a/6", "b/7"):
        assert cv2.imwrite(str(tmp_path / f"{copy}.png"), others[3])
    shown = CliRunner().invoke(main, ["data", "info", str(tmp_path), "--json"])
    assert json.loads(shown.stdout)["conflicting_files"] == [["a/1.png", "b/2.png"], ["a/6.png", "b/7.png"]]
    exact = CliRunner().invoke(main, ["data", "info", str(tmp_path), "--no-near-duplicates"])
    assert exact.stdout.count("several labels:") == 1 and "a/6.png, b/7.png" in exact.stdout


def test_remarks_on_what_is_equal_or_empty(others: Pictures) -> None:
    flat = np.full((1, 48, 48), 9, np.uint8)
    train = Split(np.concatenate([others[:2], others[:1], flat]), np.array([0, 1, 2, 3]), CLASSES)
    val = Split(np.concatenate([others[1:2], others[3:4]]), np.array([1, 1]), CLASSES)
    lines = duplicate_remarks(Dataset(Path("a"), {"train": train, "val": val}))
    assert [line.split()[0] for line in lines] == ["4", "1", "1"]
    assert "4 rows are 2 pictures" in lines[0] and "1 of them with several labels" in lines[0]
    assert duplicate_remarks(Dataset(Path("a"), {"test": Split(others[:3], np.arange(3), CLASSES)})) == []


def test_a_list_stands_in_for_the_train_split(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "list.json"
    done = CliRunner().invoke(main, ["data", "duplicates", str(table), "--out", str(out)])
    assert done.exit_code == 0, done.output
    dataset = load(table)
    alone = Dataset(table, {"val": dataset.split("val")})
    assert rows.rows_in_train(alone, "val") is None
    monkeypatch.setattr(rows, "FER2013_LIST", out)
    for each in (dataset, alone):
        assert rows.clean_split(each, "val") is each.split("val")  # two clean rows are too few
    monkeypatch.setattr(rows, "LEAST_ROWS", 2)
    for each in (dataset, alone):
        assert rows.clean_split(each, "val").labels.tolist() == [2, 3]
    itself = rows.rows_in_train(dataset, "train")
    assert itself and itself.exact.all() and not itself.near.any()
    found = rows.rows_in_train(alone, "val")
    assert found and found.near.tolist() == [True, False, False] and not found.exact.any()


def test_a_list_needs_two_splits_and_a_file_of_its_own(
    table: Path, tmp_path: Path, mistake: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in table.read_text().splitlines() if not line.endswith("PublicTest")]
    (tmp_path / "one.csv").write_text("\n".join(lines))
    load(tmp_path / "one.csv")
    capfd.readouterr()  # that it is parsed
    assert "train split alone" in mistake("data", "duplicates", tmp_path / "one.csv", "--out", tmp_path / "o.json")
    assert "--out" in mistake("data", "duplicates", table, "--out", table)


def test_the_shipped_list_is_of_publictest() -> None:
    stored = json.loads(rows.FER2013_LIST.read_text("utf-8"))
    assert stored["train"]["pictures"] == 28_709 and stored["splits"]["val"]["pictures"] == 3_589
    exact, near = (stored["splits"]["val"][kind] for kind in ("exact", "near"))
    assert (len(exact), len(near)) == (280, 618) and not set(exact) & set(near)
    assert min(exact + near) >= 0 and max(exact + near) < 3_589
