"""The soak: a real run with everything on, for a moment; and what is concluded from samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import run

from fer_edge.benchmarks.soak.findings import MIN_FRAMES, findings
from fer_edge.benchmarks.soak.sample import Sample, percentile

BOUNDS = (0.001, 0.002, 0.004, 0.008, float("inf"))


@pytest.mark.slow
@pytest.mark.system
def test_a_run_with_everything_on_is_sampled(tmp_path: Path) -> None:
    out, plot = tmp_path / "soak.json", tmp_path / "soak.png"
    done = run("soak", "--frames", 400, "--rate", 200, "--life", 2, "--sample", 0.5, "--out", out, "--plot", plot)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    frames = [row["frames"] for row in result["rows"]]
    assert frames == sorted(frames) and frames[-1] >= 400
    assert all(row["resident_mib"] > 30 and row["threads"] > 1 and row["descriptors"] > 5 for row in result["rows"])
    assert any(row["p99_ms"] for row in result["rows"])
    assert result["viewers"]["connections"] >= 4 and result["tracebacks"] == 0
    assert [each["met"] for each in result["findings"]] == [None] * 4, "too few frames for a finding"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "| threads, last third minus first third | – | 0 |" in run("table", out).stdout


def samples(growth: float = 0.0, descriptors: int = 0, threads: int = 0, slower: float = 1.0) -> list[Sample]:
    """120 samples of 2,000 frames each: MB of memory added per 100,000 frames; the rest changes in the last third."""
    made, counts = [], [0] * len(BOUNDS)
    for index in range(120):
        late = index >= 85
        milliseconds = 1.9 * (slower if late else 1.0)
        for place, bound in enumerate(BOUNDS):
            counts[place] += 2000 if 1000 * bound >= milliseconds else 0
        megabytes = 100 + growth * 2000 * index / 1e5
        made.append(
            Sample(
                float(index),
                2000 * index,
                megabytes * 1e6 / 2**20,
                30 + (descriptors if late else index % 3),
                20 + (threads if late else 0),
                tuple(zip(BOUNDS, counts, strict=True)),
            )
        )
    return made


@pytest.mark.parametrize(
    ("change", "missed"),
    [({}, None), ({"growth": 1.5}, 0), ({"descriptors": 5}, 1), ({"threads": 1}, 2), ({"slower": 3.0}, 3)],
)
def test_what_grows_is_found(change: dict[str, float], missed: int | None) -> None:
    found = findings(samples(**change))  # type: ignore[arg-type]
    assert [each.met for each in found] == [index != missed for index in range(4)]


def test_growth_is_measured_in_mb_per_100_000_frames() -> None:
    assert findings(samples(growth=0.5))[0].value == pytest.approx(0.5, abs=0.001)


def test_a_short_run_shows_nothing() -> None:
    short = [each for each in samples() if each.frames < MIN_FRAMES]
    assert {each.met for each in findings(short)} == {None}


@given(st.lists(st.floats(0.0001, 0.0079), min_size=1, max_size=50), st.sampled_from((0.5, 0.9, 0.99)))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(times: list[float], share: float) -> None:
    buckets = [(bound, sum(time <= bound for time in times)) for bound in BOUNDS]
    estimate = percentile((), buckets, share)
    exact = sorted(times)[max(0, -int(-share * len(times) // 1) - 1)]
    (index,) = [place for place, bound in enumerate(BOUNDS) if exact <= bound][:1]
    assert estimate is not None
    assert (0.0, *BOUNDS)[index] <= estimate <= BOUNDS[index]
