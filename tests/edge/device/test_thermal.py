"""Heat: recorded answers of a Raspberry Pi's firmware, a made-up /sys, and what the run does about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from fer_edge.edge.commands import run
from fer_edge.edge.device import board
from fer_edge.edge.device.thermal import COOLER, HOT, WARM, BoardCondition, ThermalMonitor, level, reading
from fer_edge.edge.expression.cascade import CascadeClassifier
from fer_edge.edge.expression.ensemble import open_early_exit
from fer_edge.edge.faces.patch_follower import PatchFollower
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.types import Face, Frame


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
    ("answer", "words"),
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
def test_throttle_bits(answer: str | None, words: list[str] | None) -> None:
    assert board.throttled(answer) == words


def test_the_firmware_is_asked_by_file_or_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "vcgencmd"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho throttled=0x20002\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    assert reading(sys_tree(tmp_path, 61_250)) == BoardCondition(61.2, ("frequency capped now",))
    assert reading(sys_tree(tmp_path, 85_000, "80008")) == BoardCondition(85.0, ("soft temperature limit now",))
    monkeypatch.setenv("PATH", "/nowhere")
    assert reading(tmp_path / "bare") == BoardCondition(None, ())
    five = tmp_path / "five/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    five.parent.mkdir(parents=True)
    five.write_text("80008\n")
    assert reading(tmp_path / "five") == BoardCondition(None, ("soft temperature limit now",))


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
def test_only_a_small_board_is_too_hot_at_95_degrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, throttled: str | None, expected: int
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    heat = ThermalMonitor(lambda level, now: None, sys_tree(tmp_path, 95_000, throttled, kind), interval=0.01)
    until(lambda: heat.now == BoardCondition(95.0, ()))
    heat.close()
    assert heat.level == expected


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (BoardCondition(50.0, ()), 0, 0),
        (BoardCondition(WARM, ()), 0, 1),
        (BoardCondition(60.0, ("soft temperature limit now",)), 0, 1),
        (BoardCondition(HOT, ()), 0, 2),
        (BoardCondition(60.0, ("throttled now",)), 0, 2),
        (BoardCondition(None, ("under-voltage now",)), 0, 2),
        (BoardCondition(HOT - 1, ()), 2, 2),
        (BoardCondition(HOT - COOLER - 1, ()), 2, 1),
        (BoardCondition(WARM - 1, ()), 1, 1),
        (BoardCondition(WARM - COOLER - 1, ()), 1, 0),
        (BoardCondition(None, ()), 2, 1),
    ],
)
def test_levels(now: BoardCondition, before: int, expected: int) -> None:
    assert level(now, before) == expected


@given(st.lists(st.floats(20, 100), min_size=1, max_size=40))
def test_heat_raises_at_once_and_cooling_lowers_step_by_step(temperatures: list[float]) -> None:
    before = 0
    for degrees in temperatures:
        now = level(BoardCondition(degrees, ()), before)
        assert now >= before - 1 and (now == 2 or degrees < HOT) and (now <= before or degrees >= WARM)
        before = now


def test_a_hot_board_does_less_and_logs_it(tmp_path: Path, messages: list[str]) -> None:
    class Nobody:
        description = "nobody"

        def detect(self, frame: Frame) -> list[Face]:
            return []

    cascade = open_early_exit()
    assert isinstance(cascade, CascadeClassifier)
    follower = PatchFollower(Nobody(), 4)
    pipeline = Pipeline(follower, cascade)
    zone = sys_tree(tmp_path, 81_000, "0") / "sys/class/thermal/thermal_zone0/temp"
    zone.write_text("")  # unreadable at first
    paced: list[int] = []

    def changed(level: int, now: BoardCondition) -> None:
        run.throttle(pipeline, level, now)
        paced.append(level)

    heat = ThermalMonitor(changed, tmp_path, interval=0.01)
    time.sleep(0.03)
    for millidegrees, every, depth, levels in ((81_000, 16, 1, [2]), (73_000, 8, 2, [2, 1]), (60_000, 4, 3, [2, 1, 0])):
        sys_tree(tmp_path, millidegrees, "0")
        until(lambda wanted=levels: len(paced) >= len(wanted))
        assert (paced, follower.interval, cascade.depth) == (levels, every, depth)
        zone.write_text("")  # unreadable for once
        time.sleep(0.03)
    heat.close()
    assert messages[0] == "81 °C: detecting every 16 frames, up to 1 of 3 models per face"
    assert messages[-1].endswith("detecting every 4 frames, up to 3 of 3 models per face")
