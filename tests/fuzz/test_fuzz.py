"""Every reader on some changed copies of real inputs: it reads them or refuses them with a clear error."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz as fuzzing
from mutations import NASTY, mutate
from targets import TARGETS


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS)
def test_changed_inputs_are_read_or_refused(target: str, cases: Callable[[int, int], int]) -> None:
    tally = fuzzing.fuzz(target, seed=0, cases=cases(3, 30) * (1 + TARGETS[target].share // 20))
    assert tally.failures == []
    assert tally.cases >= 3 and tally.peak_mib > 0


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_to_start_from_are_real(target: str, tmp_path: Path) -> None:
    """At least one is read without an error: changed copies of what is refused anyway would show nothing."""
    seeds = TARGETS[target].seeds()
    assert seeds
    TARGETS[target].read(seeds[0], tmp_path)


def test_the_same_case_is_the_same_input() -> None:
    seeds = [b"some input", b"another one", *NASTY]
    once, again = (mutate(seeds[0], seeds, random.Random("1/a/7")) for _ in range(2))
    assert once == again
    assert len({mutate(seeds[0], seeds, random.Random(f"1/a/{case}")) for case in range(200)}) > 150


def test_a_death_and_an_exception_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machinery sees what it is there for: a worker that dies, one that hangs and one with a traceback."""
    (tmp_path / "targets.py").write_text(
        "import os, signal, time\n"
        "from types import SimpleNamespace\n"
        "def read(data, folder):\n"
        "    read.calls = getattr(read, 'calls', 0) + 1\n"
        "    number = int.from_bytes(open(PROGRESS, 'rb').read(), 'little')\n"
        "    if number == 1: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if number == 3: time.sleep(60)\n"
        "    if number == 5: raise KeyError('x')\n"
        "import sys\n"
        "PROGRESS = sys.argv[5] if len(sys.argv) > 5 else ''\n"
        "Target = SimpleNamespace\n"
        "TARGETS = {'bad': Target(seeds=lambda: [b'seed'], read=read, share=1)}\n"
    )
    for name in ("worker.py", "mutations.py"):
        (tmp_path / name).write_text((Path(__file__).parent / name).read_text("utf-8"))
    monkeypatch.setattr(fuzzing, "__file__", str(tmp_path / "fuzz.py"))
    monkeypatch.setattr(fuzzing, "TIMEOUT", 1.0)
    tally = fuzzing.fuzz("bad", seed=0, cases=8)
    assert [(kind, number) for kind, number, _ in tally.failures] == [("crash", 1), ("hang", 3), ("traceback", 5)]
    assert tally.cases == 8
