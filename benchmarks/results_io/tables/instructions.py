"""The table of instructions on emulated Arm processors."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.instructions import millions
from fer_edge.benchmarks.results_io.tables.markdown import markdown


def arm_instructions(result: dict[str, Any]) -> str:
    """Millions of instructions: a row per case, a column per processor."""
    counts: dict[str, dict[str, int]] = {}
    for row in result["rows"]:
        counts.setdefault(row["case"], {})[row["cpu"]] = row["instructions"]
    cpus = list(dict.fromkeys(row["cpu"] for row in result["rows"]))
    facts = result["machine"]
    software = [f"{name} {version}" for name, version in facts["packages"].items()]
    parts = (*software, f"Python {facts['python']}", facts["os"], result["emulator"], facts["date"][:10])
    rows = [
        (case, *(millions(by_cpu[cpu]) if cpu in by_cpu else "–" for cpu in cpus)) for case, by_cpu in counts.items()
    ]
    return f"Million instructions on one thread; {', '.join(parts)}.\n\n{markdown(('case', *cpus), rows)}"
