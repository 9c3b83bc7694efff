"""The table of a soak: what must not grow, and whether it did."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown


def soak(result: dict[str, Any]) -> str:
    """A row per finding, below a line that says how long the run was and what died in it."""
    last, deaths, viewers = result["rows"][-1], result["deaths"], result["viewers"]
    died = [f"{count} deaths of the {name}" for name, count in deaths.items() if count is not None]
    parts = [f"{last['frames']:,} frames in {last['seconds'] / 60:.0f} minutes", *died]
    parts.append(f"{viewers['connections']:,} connections of viewers")
    rows = [
        (each["name"], "–" if each["value"] is None else f"{each['value']:.2f}", f"{each['bound']:g}")
        for each in result["findings"]
    ]
    return f"{', '.join(parts)}; {machine(result)}\n\n{markdown(('after the warm-up', 'measured', 'accepted'), rows)}"
