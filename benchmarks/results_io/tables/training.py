"""The table of training: seconds of an epoch by backend, devices and processes."""

from __future__ import annotations

from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown


def training(result: dict[str, Any]) -> str:
    """A row per set-up, compared with the first of them."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    head = f"{result['network']}, {result['pictures']} pictures an epoch; {versions}; {machine(result)}"
    first = result["rows"][0]["epoch_seconds"]["p50"]
    rows = [
        (
            f"{row['backend']}{'' if row['setup'] in ('tensorflow', 'jax') else ' --distributed'}",
            str(row["devices"]),
            str(row["processes"]),
            f"{row['epoch_seconds']['p50']:.1f} ({row['epoch_seconds']['min']:.1f}–{row['epoch_seconds']['max']:.1f})",
            f"{row['epoch_seconds']['p50'] / first:.2f}",
        )
        for row in result["rows"]
    ]
    columns = ("backend", "devices", "processes", "seconds an epoch, p50 (least–most)", "times the first row")
    return f"{head}\n\n{markdown(columns, rows)}"
