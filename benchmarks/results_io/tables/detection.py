"""Tables of face detectors on composed scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fer_edge.benchmarks.results_io.detection_figures import (
    against,
    counted,
    found,
    large,
    mean,
    models,
    of_portrait,
    of_size,
    of_tilt,
    share_text,
    values,
)
from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, percent, ratio


def by_size(result: dict[str, Any]) -> str:
    """Recall by the width of upright faces in 640x480 and 1280x720."""
    sizes = values(result["rows"], "size", "size")
    rows = [
        (row["detector"], f"{width}x{height}", *(_recall(row, of_size(size, width, height)) for size in sizes))
        for width, height in ((640, 480), (1280, 720))
        for row in result["rows"]
    ]
    columns = ("recall", "frame", *(f"{size} px" for size in sizes))
    return f"{_head(result)}\n\n{markdown(columns, rows)}"


def by_tilt(result: dict[str, Any]) -> str:
    """Recall, kept and confidently changed expressions by tilt."""
    tilts = values(result["rows"], "tilt", "tilt")
    rows = []
    for row in result["rows"]:
        recalls = [_recall(row, of_tilt(tilt)) for tilt in tilts]
        rows.append((row["detector"], "FER2013, found", *recalls))
        for model in models(row)[-1:]:
            for name, text in (("agreed", f"as the picture, {model}"), ("confident_changes", "confidently not")):
                rows.append((row["detector"], text, *(_share(row, of_tilt(tilt), model, name) for tilt in tilts)))
        rows.append((row["detector"], "portrait, found", *(_recall(row, of_portrait(tilt)) for tilt in tilts)))
    columns = ("detector", "share of all faces", *(f"{tilt}°" for tilt in tilts))
    return f"{_head(result)}\n\n{markdown(columns, rows)}"


def overall(result: dict[str, Any]) -> str:
    """False faces, exactness, accuracy through the crop, and time."""
    rows = []
    for row in result["rows"]:
        hits, _ = found(row, large)
        false = row["false"]
        eyes = mean(row, of_portrait(0), "eye_error", "p50")
        overlap = mean(row, large, "iou")
        rows.append(
            (
                row["detector"],
                *(_false(row["negatives"], kind) for kind in ("pictures", "windows")),
                *(
                    str(sum(each[kind] for each in false.values()))
                    for kind in ("in a face", "between faces", "background")
                ),
                "–" if overlap is None else f"{overlap:.2f}",
                "–" if eyes is None else f"{eyes:.3f}",
                *(share_text(counted(row, large, model, "correct"), hits, 1) for model in models(row)),
                *(_against(row, result["rows"][0], model) for model in models(row)),
                *(ratio(times, 1) for times in row["times"]),
            )
        )
    names = models(result["rows"][0])
    for name, reference in result["references"].items():
        _, total = found(result["rows"][0], large)
        accuracies = (percent(counted(reference, large, model, "correct") / total, 1) for model in names)
        rows.append((f"*{name}*", *("–",) * 7, *accuracies, *("–",) * (len(names) + len(result["rows"][0]["times"]))))
    scenes = sum(each["scenes"] for each in result["rows"][0]["false"].values())
    columns = (
        "detector",
        *(f"false faces in {_images(result, kind)} {kind}" for kind in ("pictures", "windows")),
        *(f"in {scenes} scenes: {kind}" for kind in ("in a face", "between faces", "elsewhere")),
        "crop IoU",
        "eye error",
        *(f"accuracy, {model}" for model in names),
        *(f"{model}, points against {result['rows'][0]['detector']} on the same faces" for model in names),
        *(f"{times['width']}x{times['height']}, invocations" for times in result["rows"][0]["times"]),
    )
    return f"{_head(result)}\n\n{markdown(columns, rows)}"


def _head(result: dict[str, Any]) -> str:
    data = result["data"]
    return f"{data['name']}, split `{data['split']}`, {result['count']} faces per cell; {machine(result)}"


def _recall(row: dict[str, Any], where: Callable[[dict[str, Any]], bool]) -> str:
    hits, total = found(row, where)
    return percent(hits / total, 0) if total else "–"


def _share(row: dict[str, Any], where: Callable[[dict[str, Any]], bool], model: str, name: str) -> str:
    _, total = found(row, where)
    return percent(counted(row, where, model, name) / total, 0) if total else "–"


def _false(negatives: dict[str, Any], kind: str) -> str:
    return str(negatives[kind]["false"]) if kind in negatives else "–"


def _against(row: dict[str, Any], first: dict[str, Any], model: str) -> str:
    if row is first:
        return "–"
    difference, low, high, faces = against(row, first, model)
    return f"{100 * difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}), {faces} faces"


def _images(result: dict[str, Any], kind: str) -> int:
    return int(result["rows"][0]["negatives"].get(kind, {"images": 0})["images"])
