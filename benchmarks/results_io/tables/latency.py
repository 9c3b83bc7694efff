"""Tables of how long the networks take."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, percent, ratio


def latency(result: dict[str, Any]) -> str:
    """Milliseconds to load, of the first call, per face and per frame, by model, runtime and threads."""
    head = f"Milliseconds per face, {result['runs']} calls after {result['warmup']} for warm-up; {machine(result)}"
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
    milliseconds = ("load ms", "first call ms", "p50 ms", "p90 ms", "p99 ms", "invoke p50 ms", "frame p50 ms")
    columns = ("model", "runtime", "threads", *milliseconds, "p50 ratio", "peak RSS")
    return f"{head}\n\n{markdown(columns, rows)}"


def batching(result: dict[str, Any]) -> str:
    """Milliseconds per face: a row per model, method and thread count, a column per number of faces."""
    counts = sorted({row["faces"] for row in result["rows"]})
    times: dict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    for row in result["rows"]:
        times[row["model"], row["method"], row["threads"]][row["faces"]] = f"{row['ms']['p50'] / row['faces']:.2f}"
    rows = [
        (f"{model}, {method}", str(threads), *(by_count.get(count, "–") for count in counts))
        for (model, method, threads), by_count in times.items()
    ]
    head = f"Milliseconds per face, p50 of {result['runs']} calls; {machine(result)}"
    columns = ("model, method", "threads", *(f"{count} {'face' if count == 1 else 'faces'}" for count in counts))
    return f"{head}\n\n{markdown(columns, rows)}"


def layers(result: dict[str, Any]) -> str:
    """Milliseconds of one invocation by kind of operator."""
    threads = ", ".join(sorted({str(row["threads"]) for row in result["rows"]}))
    head = f"Milliseconds per invocation, threads: {threads}; {machine(result)}"
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
    return f"{head}\n\n{markdown(('model', 'runtime', 'total', *kinds), rows)}"
