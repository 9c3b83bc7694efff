"""The rule between the rooms, and the size of the map of `edge/`; tests/support/import_graph.py prints it."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from import_graph import ROOMS, arrows, entries, modules_imported_from

MAY_IMPORT: dict[str, set[str]] = {
    "models": set(),
    "edge": {"models"},
    "train": {"edge", "models"},
    "convert": {"train", "edge", "models"},
    "benchmarks": {"edge", "models", "train"},
}


def test_imports_between_rooms_go_one_way() -> None:
    assert {(start, end) for start, end in arrows() if end not in MAY_IMPORT[start]} == set()


def test_benchmarks_need_nothing_of_training_but_data_and_evaluation() -> None:
    used = modules_imported_from("benchmarks", "train")
    assert {name for name in used if not name.startswith(("train.data", "train.evaluation"))} == set()


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_no_imports_in_a_circle(room: str) -> None:
    graph = TopologicalSorter[str]()
    for start, end in arrows(room):
        graph.add(start, end)
    graph.prepare()  # raises CycleError


def test_the_map_of_edge_fits_in_a_head() -> None:
    assert len(entries("edge")) <= 21
    assert len(arrows("edge")) <= 66
