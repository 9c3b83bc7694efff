"""The curves of a soak: memory, descriptors and threads, and p99 of a frame's time over frames."""

from __future__ import annotations

from typing import Any

from fer_edge.train.evaluation.figures import figure, png, tidy


def curves(result: dict[str, Any]) -> bytes:
    """Draw the samples of a soak, three plots one below the other.

    Args:
        result: A result of `fer-edge bench soak`.

    Returns:
        A PNG.
    """
    rows = result["rows"]
    thousands = [row["frames"] / 1000 for row in rows]
    canvas = figure(8, 7)
    memory, counts, times = (tidy(axis) for axis in canvas.subplots(3, 1, sharex=True))
    memory.plot(thousands, [row["resident_mib"] for row in rows], lw=1)
    memory.set_ylabel("resident memory, MiB")
    memory.set_ylim(0, 1.15 * max(row["resident_mib"] for row in rows))
    for name in ("descriptors", "threads"):
        counts.plot(thousands, [row[name] for row in rows], lw=1, label=name)
    counts.set_ylim(bottom=0)
    counts.legend(frameon=False, fontsize=8)
    measured = [(x, row["p99_ms"]) for x, row in zip(thousands, rows, strict=True) if row["p99_ms"] is not None]
    times.plot(*zip(*measured, strict=True), lw=1)
    times.set_ylabel("p99 of a frame, ms")
    times.set_ylim(bottom=0)
    times.set_xlabel("frames, thousands")
    return png(canvas)
