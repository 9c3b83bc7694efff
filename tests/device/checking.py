"""A line for each check that runs beside a device, and which of them failed."""

from __future__ import annotations

failed: list[str] = []


def check(what: str, truth: bool) -> None:
    print(f"{'ok   ' if truth else 'FAIL '} {what}", flush=True)
    if not truth:
        failed.append(what)
