"""Instruction counts of emulated Arm: what passes, what is reported, and the table."""

from __future__ import annotations

import itertools
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from measuring import result, run

from fer_edge.benchmarks.results_io.instructions import Change, changes, differences
from fer_edge.benchmarks.results_io.tables.instructions import arm_instructions


def counts(*rows: tuple[str, str, int], **changes: object) -> dict[str, Any]:
    stored = result("arm-instructions", emulator="qemu-aarch64 7.2.22", plugin="ab" * 32, sha256={"a.tflite": "c" * 64})
    del stored["data"]
    named = [dict(zip(("cpu", "case", "instructions"), row, strict=True)) for row in rows]
    return {**stored, "rows": named, **changes}


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        (1_000_000, 1_030_000, True),
        (1_000_000, 1_030_001, False),
        (1_000_000, 500_000, True),
        (None, 1, False),
        (1, None, False),
    ],
)
def test_growth_by_more_than_three_percent_fails(before: int | None, after: int | None, passed: bool) -> None:
    assert Change("Cortex-A76", "mobilenet_v2", before, after).passed is passed


def test_each_change_says_where_and_from_what_to_what() -> None:
    recorded = counts(("A53", "detector", 40_000_000), ("A76", "detector", 20_000_000), ("A76", "frame", 9_000_000))
    now = counts(("A53", "detector", 40_040_000), ("A76", "detector", 21_000_000), ("A76", "room", 500_000))
    by_result: dict[bool, list[str]] = {True: [], False: []}
    for change in changes(recorded, now):
        by_result[change.passed].append(str(change))
    assert by_result[True] == ["A53, detector: 40.00 M → 40.04 M instructions, +0.1 %"]
    assert by_result[False] == [
        "A76, detector: 20.00 M → 21.00 M instructions, +5.0 %",
        "A76, room: 0.50 M instructions, and nothing recorded",
        "A76, frame: 9.00 M instructions recorded, and not counted",
    ]


def test_other_versions_and_models_are_reported() -> None:
    recorded, now = counts(), counts(emulator="qemu-aarch64 8.2", sha256={"b.tflite": "d" * 64})
    now["machine"] = {**now["machine"], "packages": {"ai-edge-litert": "10.0", "numpy": "2.0"}}
    assert differences(recorded, recorded) == []
    assert differences(recorded, now) == [
        "ai-edge-litert: 9.9 → 10.0",
        "emulator: qemu-aarch64 7.2.22 → qemu-aarch64 8.2",
        "a.tflite: cccccccccccc → none",
        "b.tflite: none → dddddddddddd",
    ]


def test_table_has_a_column_per_processor() -> None:
    text = arm_instructions(
        counts(("A53", "detector", 40_000_000), ("A76", "detector", 20_000_000), ("A76", "room", 1))
    )
    assert "| case | A53 | A76 |" in text
    assert "| detector | 40.00 | 20.00 |" in text
    assert "| room | – | 0.00 |" in text
    assert "qemu-aarch64 7.2.22" in text and "ai-edge-litert 9.9" in text


def test_two_files_are_compared(tmp_path: Path) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, count in zip(paths, (10_000_000, 9_000_000), strict=True):
        path.write_text(json.dumps(counts(("A76", "detector", count))))
    assert run("compare", *paths).stdout == "A76, detector: 10.00 M → 9.00 M instructions, -10.0 %\n"


# --- what is counted ---------------------------------------------------------------------------------------------

script = runpy.run_path(str(Path(__file__).parents[1] / "device" / "count_instructions.py"))


def frames_of(*pattern: tuple[int, bool, int]) -> SimpleNamespace:
    """A counter whose frames have these instructions, detections and models, again and again."""
    return SimpleNamespace(frames=lambda clip: itertools.cycle(itertools.starmap(script["Counted"], pattern)))


def test_mean_of_a_still_room_is_of_whole_periods() -> None:
    counter = frames_of((100, True, 0), *[(10, False, 0)] * 8)
    assert dict(script["empty_frames"](counter, [])) == {"empty room: no detection": 10, "empty room: mean": 20}
    assert dict(script["empty_frames"](frames_of((100, True, 0)), [])) == {"empty room: mean": 100}
    assert dict(script["empty_frames"](frames_of((10, False, 0)), []))["empty room: mean"] == 10


def test_frames_are_told_apart_by_what_was_to_be_done() -> None:
    counter = frames_of((100, True, 1), (30, False, 1), (8, False, 0), (6, False, 0), (9, False, 0), (70, False, 3))
    assert dict(script["face_frames"](counter, [0] * 6)) == {
        "frame: detection, one model": 100,
        "frame: tracked, one model": 30,
        "frame: tracked, cached scores": 8,
        "frame: mean of a clip": 37,
    }
