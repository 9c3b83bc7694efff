"""Tables of prediction stability: labels that stay, confident answers that change, and accuracy."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.modes import modes
from fer_edge.benchmarks.results_io.tables.markdown import markdown, measured_on


def stability(result: dict[str, Any]) -> str:
    """Tables with a row per change of the picture and a column per model, shares in percent with 95 % intervals."""
    above = f"above {100 * result['confident_above']:g} %"
    columns = modes(result["rows"])
    titles = {"same_label": "same label, %", "confident_changed": f"{above} and changed, %", "accuracy": "accuracy, %"}
    parts = [f"{result['runtime']}, {measured_on(result)}"]
    for measured, title in titles.items():
        views = columns[0][1]["views"]
        rows = [(name, *(_cell(each["views"][name][measured]) for _, each in columns)) for name in views]
        rows.append(("**mean**", *(_cell(each["mean"][measured]) for _, each in columns)))
        if measured == "accuracy":
            rows.insert(0, ("unchanged", *(_cell(each["accuracy"]) for _, each in columns)))
        parts.append(markdown((title, *(name for name, _ in columns)), rows))
    confident = ", ".join(f"{name} {each['confident']}" for name, each in columns)
    return "\n\n".join([*parts, f"Faces {above}: {confident}."])


def _cell(figure: dict[str, Any]) -> str:
    low, high = (100 * end for end in figure["interval"])
    return f"{100 * figure['share']:.1f} ({low:.1f}–{high:.1f})"
