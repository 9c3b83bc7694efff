"""Thermal throttling, with recorded answers of a Raspberry Pi's firmware and an artificial /sys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from fer_edge.edge.commands import run
from fer_edge.edge.device import board
from fer_edge.edge.device.thermal import (
    HYSTERESIS,
    THROTTLE_CELSIUS,
    BoardCondition,
    ThermalMonitor,
    choose_load_level,
    read_condition,
)
from fer_edge.edge.expression.cascade import CascadeClassifier
from fer_edge.edge.expression.ensemble import open_early_exit
from fer_edge.edge.faces.patch_follower import PatchFollower
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.types import Face, Frame

WARM, HOT = THROTTLE_CELSIUS


def sys_tree(root: Path, millidegrees: int, throttled: str | None = None, kind: str = "") -> Path:
    zone = root / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "temp").write_text(f"{millidegrees}\n")
    (zone / "type").write_text(f"{kind}\n")
    if throttled is not None:
        file = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{throttled}\n")
    return root


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("throttled=0x0", []),
        (
            "throttled=0x50005",
            ["under-voltage now", "throttled now", "under-voltage since boot", "throttled since boot"],
        ),
        ("throttled=0x80008", ["soft temperature limit now", "soft temperature limit since boot"]),
        ("VCHI initialization failed", None),
        (None, None),
    ],
)
def test_throttle_bits(text: str | None, words: list[str] | None) -> None:
    assert board.parse_throttling(text) == words


def test_throttling_is_read_from_a_file_or_from_vcgencmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "vcgencmd"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho throttled=0x20002\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    assert read_condition(sys_tree(tmp_path, 61_250)) == BoardCondition(61.2, ("frequency capped now",))
    assert read_condition(sys_tree(tmp_path, 85_000, "80008")) == BoardCondition(85.0, ("soft temperature limit now",))
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_condition(tmp_path / "bare") == BoardCondition(None, ())
    pi_5 = tmp_path / "five/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    pi_5.parent.mkdir(parents=True)
    pi_5.write_text("80008\n")
    assert read_condition(tmp_path / "five") == BoardCondition(None, ("soft temperature limit now",))


@pytest.mark.parametrize(
    ("kind", "throttled", "expected"),
    [
        ("cpu-thermal", None, 2),
        ("soc_thermal", None, 2),
        ("", "0", 2),
        ("x86_pkg_temp", None, 0),
        ("acpitz", None, 0),
    ],
)
def test_only_a_small_board_throttles_at_95_degrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, throttled: str | None, expected: int
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monitor = ThermalMonitor(lambda level, condition: None, sys_tree(tmp_path, 95_000, throttled, kind), interval=0.01)
    until(lambda: monitor.condition == BoardCondition(95.0, ()))
    monitor.close()
    assert monitor.level == expected


@pytest.mark.parametrize(
    ("condition", "level", "expected"),
    [
        (BoardCondition(50.0, ()), 0, 0),
        (BoardCondition(WARM, ()), 0, 1),
        (BoardCondition(60.0, ("soft temperature limit now",)), 0, 1),
        (BoardCondition(HOT, ()), 0, 2),
        (BoardCondition(60.0, ("throttled now",)), 0, 2),
        (BoardCondition(None, ("under-voltage now",)), 0, 2),
        (BoardCondition(HOT - 1, ()), 2, 2),
        (BoardCondition(HOT - HYSTERESIS - 1, ()), 2, 1),
        (BoardCondition(WARM - 1, ()), 1, 1),
        (BoardCondition(WARM - HYSTERESIS - 1, ()), 1, 0),
        (BoardCondition(None, ()), 2, 1),
    ],
)
def test_load_levels(condition: BoardCondition, level: int, expected: int) -> None:
    assert choose_load_level(condition, level) == expected


@given(st.lists(st.floats(20, 100), min_size=1, max_size=40))
def test_the_load_level_rises_at_once_and_falls_step_by_step(temperatures: list[float]) -> None:
    level = 0
    for degrees in temperatures:
        new = choose_load_level(BoardCondition(degrees, ()), level)
        assert new >= level - 1 and (new == 2 or degrees < HOT) and (new <= level or degrees >= WARM)
        level = new


def test_a_hot_board_throttles_and_logs_it(tmp_path: Path, messages: list[str]) -> None:
    class NoFaces:
        description = "no faces"

        def detect(self, frame: Frame) -> list[Face]:
            return []

    cascade = open_early_exit()
    assert isinstance(cascade, CascadeClassifier)
    follower = PatchFollower(NoFaces(), 4)
    pipeline = Pipeline(follower, cascade)
    zone = sys_tree(tmp_path, 81_000, "0") / "sys/class/thermal/thermal_zone0/temp"
    zone.write_text("")  # unreadable at first
    levels: list[int] = []

    def on_change(level: int, condition: BoardCondition) -> None:
        run.throttle(pipeline, level, condition)
        levels.append(level)

    monitor = ThermalMonitor(on_change, tmp_path, interval=0.01)
    time.sleep(0.03)
    for millidegrees, interval, depth, expected in (
        (81_000, 16, 1, [2]),
        (73_000, 8, 2, [2, 1]),
        (60_000, 4, 3, [2, 1, 0]),
    ):
        sys_tree(tmp_path, millidegrees, "0")
        until(lambda expected=expected: len(levels) >= len(expected))
        assert (levels, follower.interval, cascade.depth) == (expected, interval, depth)
        zone.write_text("")  # unreadable once
        time.sleep(0.03)
    monitor.close()
    assert messages[0] == "81 °C: detecting every 16 frames, up to 1 of 3 models per face"
    assert messages[-1].endswith("detecting every 4 frames, up to 3 of 3 models per face")
