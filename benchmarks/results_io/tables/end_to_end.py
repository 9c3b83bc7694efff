"""Tables of what whole runs take, from camera to sink and from process to answer."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, measured_on, percent, ratio


def start(result: dict[str, Any]) -> str:
    """Whole processes, from their start to their end."""
    head = f"Milliseconds from process to end, {result['runs']} processes each; {machine(result)}"
    rows = [
        (
            row["model"],
            *(f"{row['ms'][name]:.0f}" for name in ("p50", "p90", "p99")),
            ratio(row),
            f"{row['rate']:.0f}" if "rate" in row else "–",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    return f"{head}\n\n{markdown(('what', 'p50', 'p90', 'p99', 'ratio', 'frames/s', 'peak memory'), rows)}"


def pipeline(result: dict[str, Any]) -> str:
    """What each stage takes of a frame, and what the whole of it takes from the machine."""
    first = result["rows"][0]
    asked = "asking as 'fer-edge run' does" if first["early_exit"] and first["cache_threshold"] else _asking(first)
    head = f"Mean of {result['frames']} frames in milliseconds, {asked}; {machine(result)}"
    shown = ("capture", "detect", "crop", "classify", "draw", "sink")
    rows = [
        (
            _clip(row),
            f"{row['faces_found']:.1f}",
            str(row["threads"]),
            *(f"{row['stages'][name]['mean']:.2f}" for name in shown),
            *(f"{row['stages'][name]['p90']:.2f}" for name in ("detect", "classify")),
            f"{row['models_per_face']:.2f}",
            percent(row["outside_models"], 0),
            f"{1000 * row['cpu_seconds']:.1f}",
            f"{row['rate']:.0f}",
            f"{row['camera']['dropped']} of {row['camera']['processed'] + row['camera']['dropped']}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    columns = (
        "clip",
        "found",
        "threads",
        *shown,
        "detect p90",
        "classify p90",
        "networks a face",
        "outside them",
        "CPU ms a frame",
        "frames/s",
        "dropped at 30 frames/s",
        "peak memory",
    )
    return f"{head}\n\n{markdown(columns, rows)}"


def _asking(row: dict[str, Any]) -> str:
    """Which networks are asked how often, where that is not as `run` does it."""
    networks = "the cascade" if row["early_exit"] else "the whole ensemble"
    return (
        f"{networks} asked {'about what has changed' if row['cache_threshold'] else 'about every face in every frame'}"
    )


def sustained(result: dict[str, Any]) -> str:
    """From the first window to the last of what ran for minutes; nothing where nothing did."""
    rows = []
    for row in result["rows"]:
        if not row.get("sustained"):
            continue
        first, last = row["sustained"][0], row["sustained"][-1]
        memory, warmth = row["resident_mib"], (first["celsius"], last["celsius"])
        rows.append(
            (
                _clip(row),
                str(row["threads"]),
                f"{last['seconds'] / 60:.1f}",
                f"{first['rate']:.0f} → {last['rate']:.0f}",
                *(f"{first['ms'][name]:.1f} → {last['ms'][name]:.1f}" for name in ("p50", "p99")),
                f"{memory['start']:.0f} → {memory['end']:.0f} MiB",
                "–" if None in warmth else f"{warmth[0]:.0f} → {warmth[1]:.0f}",
                ", ".join(last["throttled"] or ()) or "–",
            )
        )
    if not rows:
        return ""
    head = f"From the first seconds to the last, without a pause, milliseconds of a frame; {machine(result)}"
    columns = ("clip", "threads", "minutes", "frames/s", "p50", "p99", "resident memory", "°C", "throttled")
    return f"{head}\n\n{markdown(columns, rows)}"


def _clip(row: dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']}, {row['faces']} {'face' if row['faces'] == 1 else 'faces'}"


def peers(result: dict[str, Any]) -> str:
    """Other packages and ours on the same frames and faces."""
    rows = [
        (
            row["name"],
            row["package"],
            percent(row["accuracy"]),
            *(f"{row['frame'][name]:.1f}" for name in ("mean", "p50", "p90", "p99")),
            ratio(row, 1),
            f"{row['classifier']['p50']:.2f}" if "classifier" in row else "–",
            f"{row['first_ms']:.0f}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    timed = ("frame mean", "p50", "p90", "p99", "mean of run's", "network p50", "first answer", "peak memory")
    return f"Milliseconds on one core; {measured_on(result)}\n\n{markdown(('', 'package', 'accuracy', *timed), rows)}"
