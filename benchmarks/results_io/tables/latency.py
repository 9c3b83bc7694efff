"""Tables of how long the networks take."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, percent, ratio


def latency(result: dict[str, Any]) -> str:
    """Opening, first answer, one face and one frame, in each runtime with so many threads."""
    head = f"Milliseconds for one face, {result['runs']} calls after {result['warmup']}; {machine(result)}"
    rows = [
        (
            row["model"],
            row["runtime"],
            str(row["threads"]),
            f"{row['open']:.1f}",
            f"{row['first']:.1f}",
            *(f"{row['classifier'][name]:.2f}" for name in ("p50", "p90", "p99")),
            *(f"{row[name]['p50']:.2f}" if name in row else "–" for name in ("invoke", "frame")),
            ratio(row),
            f"{row['peak_mib']:.0f} MiB" if row["peak_mib"] else "–",
        )
        for row in result["rows"]
    ]
    timed = ("open", "first", "p50", "p90", "p99", "invoke", "frame", "ratio", "peak memory")
    columns = ("model", "runtime", "threads", *timed)
    return f"{head}\n\n{markdown(columns, rows)}"


def batching(result: dict[str, Any]) -> str:
    """A row for each way to ask a model, a column for each number of faces."""
    counts = sorted({row["faces"] for row in result["rows"]})
    times: dict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    for row in result["rows"]:
        times[row["model"], row["method"], row["threads"]][row["faces"]] = f"{row['ms']['p50'] / row['faces']:.2f}"
    rows = [
        (f"{model}, {way}", str(threads), *(found.get(count, "–") for count in counts))
        for (model, way, threads), found in times.items()
    ]
    head = f"Milliseconds a face, p50 of {result['runs']} calls with so many at once; {machine(result)}"
    return f"{head}\n\n{markdown(('', 'threads', *map(str, counts)), rows)}"


def layers(result: dict[str, Any]) -> str:
    """How an invocation's time is shared among the kinds of operators."""
    threads = ", ".join(sorted({str(row["threads"]) for row in result["rows"]}))
    head = f"Milliseconds of one invocation, threads: {threads}; {machine(result)}"
    kinds = tuple(result["rows"][0]["kinds"])
    rows = [
        (
            row["model"],
            row["runtime"],
            f"{row['ms']:.2f}",
            *(f"{row['kinds'][kind]['ms']:.2f} ({percent(row['kinds'][kind]['share'], 0)})" for kind in kinds),
        )
        for row in result["rows"]
    ]
    return f"{head}\n\n{markdown(('model', 'runtime', 'whole', *kinds), rows)}"
