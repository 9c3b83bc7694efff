"""The figure of a detection result: recall by size and tilt, false faces over recall, expressions by tilt."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.detection_figures import (
    counted,
    found,
    large,
    models,
    of_portrait,
    of_size,
    of_tilt,
    values,
)
from fer_edge.train.evaluation.figures import figure, png, tidy


def curves(rows: list[dict[str, Any]]) -> bytes:
    """Draw four plots with a colour per detector.

    Args:
        rows: The rows of a detection result.

    Returns:
        A PNG.
    """
    canvas = figure(11, 8.5)
    plots = [tidy(axis) for axis in canvas.subplots(2, 2).flat]
    for index, row in enumerate(rows):
        for draw, axis in zip((_by_size, _by_tilt, _false_over_recall, _expressions), plots, strict=True):
            draw(axis, row, f"C{index}")
    plots[0].legend(frameon=False, fontsize=8)
    return png(canvas)


def _by_size(axis: Any, row: dict[str, Any], colour: str) -> None:
    sizes = values([row], "size", "size")
    for (width, height), style in (((640, 480), "-"), ((1280, 720), "--")):
        shares = [_share(*found(row, of_size(size, width, height))) for size in sizes]
        label = row["detector"] if style == "-" else None
        axis.plot(sizes, shares, style, color=colour, marker="o", ms=3, label=label)
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set(xlabel="width of the face, pixels; solid 640x480, dashed 1280x720", ylabel="recall, %", ylim=(0, 102))


def _by_tilt(axis: Any, row: dict[str, Any], colour: str) -> None:
    tilts = values([row], "tilt", "tilt")
    axis.plot(tilts, [_share(*found(row, of_tilt(tilt))) for tilt in tilts], color=colour, marker="o", ms=3)
    tilts = values([row], "portrait", "tilt")
    portraits = [_share(*found(row, of_portrait(tilt))) for tilt in tilts]
    axis.plot(tilts, portraits, "--", color=colour, marker="o", ms=3)
    axis.set(xlabel="tilt, degrees; solid FER2013, dashed the portrait from 100 px", ylabel="recall, %", ylim=(0, 102))


def _false_over_recall(axis: Any, row: dict[str, Any], colour: str) -> None:
    if row["curve"]:
        axis.plot(
            [100 * point["recall_large"] for point in row["curve"]],
            [100 * point["false_pictures"] for point in row["curve"]],
            color=colour,
        )
    pictures = row["negatives"]["pictures"]
    recall = _share(*found(row, lambda cell: large(cell) and (cell["width"], cell["height"]) == (640, 480)))
    axis.plot([recall], [100 * pictures["false"] / pictures["images"]], "o", color=colour)
    axis.set(
        xlabel="recall of faces from 32 px in 640x480, %; the dot is the default threshold",
        ylabel="false faces per 100 pictures without a face",
        xlim=(None, 102),
        ylim=(-1, 50),
    )


def _expressions(axis: Any, row: dict[str, Any], colour: str) -> None:
    tilts = values([row], "tilt", "tilt")
    if not models(row):
        return
    model = models(row)[-1]
    for name, style in (("agreed", "-"), ("confident_changes", ":")):
        shares = [_share(counted(row, of_tilt(tilt), model, name), found(row, of_tilt(tilt))[1]) for tilt in tilts]
        axis.plot(tilts, shares, style, color=colour, marker="o", ms=3)
    axis.set(
        xlabel="tilt, degrees; solid as the picture itself, dotted confidently not",
        ylabel=f"classified of all faces, % ({model})",
        ylim=(0, 102),
    )


def _share(hits: int, total: int) -> float:
    return 100 * hits / total if total else float("nan")
