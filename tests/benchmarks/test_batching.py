"""Methods of running the shipped networks on several faces at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from measuring import run

from fer_edge.benchmarks.batching import BATCH, ONE_BY_ONE, PARALLEL_MEMBERS, methods

pytestmark = pytest.mark.tensorflow

CROPS = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)


@pytest.mark.parametrize(("spec", "expected"), [("mobilenet_v2", [ONE_BY_ONE, BATCH]), ("ensemble", None)])
def test_every_method_gives_the_same_scores(spec: str, expected: list[str] | None) -> None:
    calls = list(methods(spec, len(CROPS), 2))
    names = [(name, threads) for name, threads, _ in calls]
    first, *others = (classify(CROPS) for _, _, classify in calls)
    assert names == [
        (name, threads)
        for name in expected or [ONE_BY_ONE, PARALLEL_MEMBERS, BATCH]
        for threads in ((2,) if name == PARALLEL_MEMBERS else (1, 2))
    ]
    for name, other in zip(names[1:], others, strict=True):
        np.testing.assert_allclose(other, first, atol=1e-6, err_msg=str(name))


def test_a_network_with_a_fixed_batch_size_runs_one_face_at_a_time(tiny: Path) -> None:
    assert [name for name, _, _ in methods(str(tiny), 2, 2)] == [ONE_BY_ONE, ONE_BY_ONE]
    assert [name for name, _, _ in methods(str(tiny), 1, 2)] == [ONE_BY_ONE, ONE_BY_ONE, BATCH, BATCH]


def test_methods_are_compared_with_the_first(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "batching.json"
    done = run("batching", tiny, "--faces", "1,2", "--runs", "10", "--out", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    assert [(row["faces"], row["method"], row["threads"]) for row in rows] == [
        *((1, method, threads) for method in (ONE_BY_ONE, BATCH) for threads in (1, 2)),
        *((2, ONE_BY_ONE, threads) for threads in (1, 2)),
    ]
    assert all(row["ms"]["count"] == 10 and len(row["rounds"]) == 10 for row in rows)
    assert [row["ratio"] for row in rows if (row["method"], row["threads"]) == (ONE_BY_ONE, 1)] == [1, 1]
    (line,) = [line for line in run("table", out).stdout.splitlines() if line.startswith(f"| tiny, {BATCH} | 2 |")]
    assert line.endswith(f"| {rows[3]['ms']['p50']:.2f} | – |")


@pytest.mark.parametrize("words", ["0", "1,", "x"])
def test_an_invalid_number_of_faces_is_refused(words: str) -> None:
    done = run("batching", "--faces", words)
    assert done.exit_code == 2 and "expected numbers with commas between" in done.stderr
