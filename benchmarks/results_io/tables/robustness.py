"""Tables of robustness: accuracy at each strength of each degradation, and means beside another package's."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS, GROUPS, HELD_OUT, WORST_AT
from fer_edge.benchmarks.results_io.modes import modes
from fer_edge.benchmarks.results_io.tables.markdown import interval_text, markdown, measured_on, percent


def robustness(result: dict[str, Any]) -> str:
    """Accuracy of the last model, by default the ensemble, at each strength of each degradation.

    An ensemble that can exit early has a second table, with early exit. The strength stands in brackets.
    """
    parts = [f"{result['runtime']}, {measured_on(result)}"]
    for name, figures in modes(result["rows"][-1:]):
        columns = (f"{name}, under", "unit of strength", *(f"strength {step}" for step in range(1, 6)))
        parts.append(markdown(columns, [_degraded(figures["degraded"][kind], kind) for kind in figures["degraded"]]))
    return "\n\n".join(parts)


def _degraded(accuracies: list[float], name: str) -> tuple[str, ...]:
    degradation = DEGRADATIONS[name]
    pairs = zip(accuracies, degradation.strengths, strict=True)
    label = f"{name} (not trained on)" if name in HELD_OUT else name
    return label, degradation.unit, *(f"{percent(each, 1)} ({strength:g})" for each, strength in pairs)


def means(result: dict[str, Any]) -> str:
    """Means over kinds and strengths per model, the worst calibration error, and mCE and relative mCE if measured."""
    rows = [(name, *_mean_cells(figures), *_relative_cells(figures)) for name, figures in modes(result["rows"])]
    worst = f"calibration error: unchanged, worst kind at strength {WORST_AT}"
    shares = ("accuracy, unchanged, %", *(f"{name}, %" for name in GROUPS))
    return markdown(("model", *shares, worst, "mCE", "relative mCE"), rows)


def _mean_cells(figures: dict[str, Any]) -> list[str]:
    """Accuracies with their intervals in percent, and calibration errors."""
    shares = [(figures["accuracy"], figures["interval"])]
    shares += [(figures["means"][group]["accuracy"], figures["means"][group]["interval"]) for group in GROUPS]
    worst = figures["means"]["twelve kinds"]["worst_ece"]
    cells = [interval_text(100 * value, [100 * end for end in ends], 1) for value, ends in shares]
    return [*cells, f"{figures['ece']:.3f}, {worst['ece']:.3f} ({worst['kind']})"]


def _relative_cells(figures: dict[str, Any]) -> list[str]:
    """mCE and relative mCE over the twelve kinds, in percent of the baseline's errors; dashes where it has none."""
    if "relative_errors" not in figures:
        return ["–", "–"]
    ratios = figures["relative_errors"]["means"]["twelve kinds"]
    return ["–" if ratios[name] is None else percent(ratios[name], 1) for name in ("mce", "relative_mce")]
