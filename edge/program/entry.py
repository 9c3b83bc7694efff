"""The entry point of the console script: handles signals, and only then imports the command."""

from __future__ import annotations

from importlib import import_module

from fer_edge.edge.program.interrupts import end_at_once


def main() -> None:
    """Run `fer-edge`."""
    end_at_once()
    import_module("fer_edge.edge.cli").main()  # here: it takes most of the start
