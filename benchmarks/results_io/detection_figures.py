"""Figures over several cases of a detection result: recall, accuracy, false faces, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum
from typing import Any

import numpy as np

from fer_edge.train.evaluation.intervals import paired_interval, share_interval

LARGE = 32
"""Width of a face, pixels, from which it counts among the large ones, whose expressions are measured."""

Where = Callable[[dict[str, Any]], bool]


def of_size(size: int, width: int = 640, height: int = 480) -> Where:
    """Upright FER2013 faces of one size in one size of frame."""
    return lambda cell: (cell["group"], cell["size"], cell["width"], cell["height"]) == ("size", size, width, height)


def of_tilt(tilt: int) -> Where:
    """FER2013 faces of one tilt."""
    return lambda cell: cell["group"] == "tilt" and cell["tilt"] == tilt


def of_portrait(tilt: int, min_size: int = 100) -> Where:
    """Portraits of one tilt, from a width on."""
    return lambda cell: (cell["group"], cell["tilt"]) == ("portrait", tilt) and cell["size"] >= min_size


def models(row: dict[str, Any]) -> tuple[str, ...]:
    """The models whose expressions were counted."""
    return tuple(dict.fromkeys(name for cell in row["cells"] for name in cell["models"]))


def large(cell: dict[str, Any]) -> bool:
    """Upright FER2013 faces that are large enough for their expression to be measured."""
    return bool(cell["group"] == "size" and cell["size"] >= LARGE)


def values(rows: list[dict[str, Any]], group: str, name: str) -> list[int]:
    """The sizes or tilts of a group's cases, sorted."""
    return sorted({cell[name] for row in rows for cell in row["cells"] if cell["group"] == group})


def found(row: dict[str, Any], where: Where) -> tuple[int, int]:
    """Faces found and faces of the cases that are meant."""
    cells = [cell for cell in row["cells"] if where(cell)]
    return sum(cell["found"] for cell in cells), sum(cell["faces"] for cell in cells)


def counted(row: dict[str, Any], where: Where, model: str, name: str) -> int:
    """The sum of a count of a model's expressions: "correct", "agreed" or "confident_changes"."""
    return sum(cell["models"][model][name] for cell in row["cells"] if where(cell) and model in cell["models"])


def against(row: dict[str, Any], other: dict[str, Any], model: str) -> tuple[float, float, float, int]:
    """The accuracy of a row's expressions minus another's, on the upright faces that both found.

    Returns:
        The difference, the ends of its 95 % interval, all -1..1, and the number of those faces.
    """
    pairs = [
        (one == "1", two == "1")
        for one, two in zip(row["outcomes"][model], other["outcomes"][model], strict=True)
        if "-" not in (one, two)
    ]
    if not pairs:
        return 0.0, -1.0, 1.0, 0
    mine, theirs = np.asarray(pairs).T
    return float(mine.mean() - theirs.mean()), *paired_interval(theirs, mine), len(pairs)


def mean(row: dict[str, Any], where: Where, name: str, figure: str = "mean") -> float | None:
    """The mean over faces of a figure of the cases that are meant; None where none was measured.

    Added by fsum: sum() rounds differently from Python 3.12 on, and a published digit would with it.
    """
    cells = [cell[name] for cell in row["cells"] if where(cell) and name in cell]
    total = sum(cell["count"] for cell in cells)
    return fsum(cell[figure] * cell["count"] for cell in cells) / total if total else None


def share_text(hits: int, total: int, digits: int = 0) -> str:
    """A share in percent with its 95 % interval."""
    if not total:
        return "–"
    low, high = share_interval(hits, total)
    return f"{100 * hits / total:.{digits}f} % ({100 * low:.{digits}f}–{100 * high:.{digits}f})"


def report_lines(row: dict[str, Any], references: dict[str, Any]) -> list[str]:
    """The most important figures of a detector, for the terminal."""
    return [row["detector"], *(f"  {line}" for line in (*_recall(row), *_exactness(row, references), *_rest(row)))]


def _recall(row: dict[str, Any]) -> list[str]:
    lines = []
    sizes = values([row], "size", "size")
    for width, height in ((640, 480), (1280, 720)):
        counts = {size: found(row, of_size(size, width, height)) for size in sizes}
        shares = "  ".join(f"{size}: {100 * hits / total:.0f}" for size, (hits, total) in counts.items() if total)
        lines.append(f"recall by width in {width}x{height}, %: {shares}")
    for tilt in values([row], "tilt", "tilt"):
        hits, total = found(row, of_tilt(tilt))
        parts = [f"recall {share_text(hits, total)}", f"crop IoU {mean(row, of_tilt(tilt), 'iou') or 0:.2f}"]
        for model in models(row):
            right, agreed, changed = (
                f"{100 * counted(row, of_tilt(tilt), model, name) / total:.0f} %"
                for name in ("correct", "agreed", "confident_changes")
            )
            parts.append(f"{model} {right} right, {agreed} as the picture, {changed} confidently not")
        lines.append(f"tilt {tilt:3}: {', '.join(parts)}")
    for size in values([row], "portrait", "size"):
        cells = [cell for cell in row["cells"] if cell["group"] == "portrait" and cell["size"] == size]
        shares = "  ".join(f"{cell['tilt']}: {cell['found']}/{cell['faces']}" for cell in cells)
        errors = " ".join(f"{cell['eye_error']['p50']:.3f}" if "eye_error" in cell else "–" for cell in cells)
        lines.append(f"portrait of {size:3} px by tilt: {shares}  eye error {errors}")
    return lines


def _exactness(row: dict[str, Any], references: dict[str, Any]) -> list[str]:
    hits, total = found(row, large)
    overlap = mean(row, large, "iou") or 0
    lines = [f"faces of {LARGE} px and more: recall {share_text(hits, total, 1)}, crop IoU {overlap:.3f}"]
    for model in models(row):
        right, agreed = (counted(row, large, model, name) for name in ("correct", "agreed"))
        ideal, direct = (counted(references[name], large, model, "correct") for name in ("true place", "picture"))
        parts = [
            f"{share_text(right, hits, 1)} of the found right",
            f"{share_text(agreed, hits, 1)} as the picture",
            f"all at the true place {100 * ideal / total:.1f} %",
            f"the pictures {100 * direct / total:.1f} %",
        ]
        lines.append(f"  {model}: {', '.join(parts)}")
    return lines


def _rest(row: dict[str, Any]) -> list[str]:
    lines = []
    for group, false in row["false"].items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in false.items() if kind != "scenes")
        lines.append(f"false faces in {false['scenes']} scenes of '{group}': {kinds}")
    for kind, counts in row["negatives"].items():
        lines.append(f"false faces in {counts['images']} {kind} without a face: {counts['false']} {counts['scores']}")
    for times in row["times"]:
        low, high = times["ratio_interval"]
        lines.append(
            f"{times['width']}x{times['height']}: CPU p50 {times['cpu_ms']['p50']:.2f} ms, p90 "
            f"{times['cpu_ms']['p90']:.2f} ms, {times['ratio']:.2f} ({low:.2f}–{high:.2f}) invocations"
        )
    return lines
