"""The comparison of scene-change tests: a still scene under changing light, and a face that comes."""

from __future__ import annotations

import pytest
from measuring import run

from fer_edge.benchmarks import motion
from fer_edge.benchmarks.fixtures import rooms
from fer_edge.benchmarks.fixtures.rooms import Camera


def test_the_gate_and_other_methods_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(160, 120, 10)
    monkeypatch.setattr(motion, "WARM_UP", 1.0)
    monkeypatch.setattr(motion, "STILL", {"noise": (camera, ()), "light": (camera, (rooms.brightness(0.2, 4),))})
    monkeypatch.setattr(motion, "COMING", {"face": (camera, {"size": 24}, ())})
    done = run("motion", "--places", "2")
    assert done.exit_code == 0, done.output
    names, threshold, _, *rows = done.stdout.splitlines()
    assert names.split("  ")[-1].strip() == "KNN" and float(threshold.split()[1]) == motion.MIN_CHANGE
    gate, frame_difference = ([float(row.split()[at]) for row in rows] for at in (1, 5))
    assert gate == [0, 0, 100]
    assert frame_difference[1] > 50, "a running mean takes light for motion"
