"""The table of a fleet: traffic, the broker's load, and the time of a setting, by the number of devices."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown


def fleet(result: dict[str, Any]) -> str:
    """A row per number of devices, below a line that says what they publish."""
    session = result["session"]
    rate = session["messages"] / session["seconds"]
    head = (
        f"Each device publishes {rate:.1f} messages/s (a face is always there), one dashboard receives all; "
        f"{result['broker']} with its CPU as a share of one core, {result['seconds']:.0f} s each; {machine(result)}"
    )
    rows = [
        (
            str(row["devices"]),
            f"{row['messages']:,.1f}",
            f"{row['bytes_per_device']:,.0f}",
            f"{100 * row['broker_cpu']:.1f} %",
            f"{row['broker_mib']:.1f}",
            *(f"{row['setting_ms'][name]:,.0f}" for name in ("p50", "p90", "p99")),
            f"{row['listed']} in {row['list_seconds']:.1f} s",
        )
        for row in result["rows"]
    ]
    columns = (
        *("devices", "messages/s", "bytes/s per device", "broker CPU", "broker MiB"),
        *("setting, ms p50", "p90", "p99", "`fleet list`"),
    )
    return f"{head}\n\n{markdown(columns, rows)}"
