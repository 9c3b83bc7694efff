"""Compare two result files: what changed, and whether it is more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.results_io.instructions import Change
from fer_edge.benchmarks.results_io.record import ResultError, complete, read
from fer_edge.benchmarks.results_io.tables.markdown import row_label
from fer_edge.train.evaluation.intervals import paired_interval, ratio_interval


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Compare two result files of accuracy, latency, start or Arm instructions, BEFORE and AFTER, row by row.

    Accuracy is paired by picture, so both files must be of the same split. Times are compared by the ratio of their
    medians, with an interval from the rounds in which they were measured. The rounds of one file are independent of
    those of the other, and the interval does not cover a difference in load between the two runs. Intervals are of
    95 %; instructions have none, as counting them again gives the same.
    """
    with complete(before, after):
        _print_comparison(before, after)


def _print_comparison(before: Path, after: Path) -> None:
    """Print a line for each row that both files have. Raises ResultError."""
    old, new = read(before), read(after)
    if old["kind"] != new["kind"] or old["kind"] not in _COMPARE:
        raise ResultError(
            f"{before} is a {old['kind']} result and {after} a {new['kind']} result; "
            f"expected two of one kind: {', '.join(_COMPARE)}"
        )
    if old.get("data", {}).get("sha256") != new.get("data", {}).get("sha256"):
        raise ResultError(f"{before} and {after} were measured on different pictures; expected the same split")
    if old["machine"]["cpu"] != new["machine"]["cpu"]:
        click.echo(f"note: measured on {old['machine']['cpu']} and {new['machine']['cpu']}", err=True)
    key, line = _COMPARE[old["kind"]]
    rows = {key(row): row for row in old["rows"]}
    matched = [(rows[key(row)], row) for row in new["rows"] if key(row) in rows]
    if not matched:
        raise ResultError(f"{before} and {after} have no row in common")
    for pair in matched:
        click.echo(line(*pair))


def _accuracy(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = (_digits(row, "correct") == "1" for row in (old, new))  # (N,) each
    agreement = float(np.mean(_digits(old, "predictions") == _digits(new, "predictions")))
    low, high = paired_interval(before, after)
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    return (
        f"{row_label(new):28} {new['runtime']:22} {100 * old['accuracy']:6.2f} → {100 * new['accuracy']:6.2f} %  "
        f"{100 * (new['accuracy'] - old['accuracy']):+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points, "
        f"{gained} gained, {lost} lost, p = {sign_test(gained, lost):.3f}, "
        f"{100 * agreement:.2f} % same predictions"
    )


def _digits(row: dict[str, Any], name: str) -> NDArray[np.str_]:
    """(N,) digits, one per picture: the predicted class, or 1 where it is correct."""
    if name not in row:
        raise ResultError(f"the row of {row['model']} has no '{name}' per picture; repeat the measurement")
    return np.array(list(row[name]))


def _latency(old: dict[str, Any], new: dict[str, Any]) -> str:
    parts = []
    for name in ("classifier", "invoke", "frame"):
        if name in old and name in new:
            low, high = ratio_interval(old["rounds"][name], new["rounds"][name], paired=False)
            ratio = old[name]["p50"] / new[name]["p50"]
            parts.append(
                f"{name} {old[name]['p50']:.3f} → {new[name]['p50']:.3f} ms, {ratio:.2f}x [{low:.2f}, {high:.2f}]"
            )
    return f"{new['model']:28} {new['threads']} thr  {'; '.join(parts)}"


def _start(old: dict[str, Any], new: dict[str, Any]) -> str:
    for row in (old, new):
        if "rounds" not in row:
            raise ResultError(f"the row of {row['model']} has no time per process; repeat the measurement")
    low, high = ratio_interval(old["rounds"], new["rounds"], paired=False)
    before, after = old["ms"]["p50"], new["ms"]["p50"]
    return f"{new['model']:48} {before:.0f} → {after:.0f} ms, {before / after:.2f}x [{low:.2f}, {high:.2f}]"


def _instructions(old: dict[str, Any], new: dict[str, Any]) -> str:
    return str(Change(new["cpu"], new["case"], old["instructions"], new["instructions"]))


def sign_test(gained: int, lost: int) -> float:
    """McNemar's exact test, two-sided.

    Args:
        gained: Pictures that became correct.
        lost: Pictures that became wrong.

    Returns:
        The probability, 0..1, of a difference at least as large if both models were equally accurate.
    """
    total, few = gained + lost, min(gained, lost)
    tail = sum(math.comb(total, count) for count in range(few + 1)) / 2**total
    return float(min(1.0, 2 * tail))


_COMPARE: dict[
    str, tuple[Callable[[dict[str, Any]], tuple[Any, ...]], Callable[[dict[str, Any], dict[str, Any]], str]]
] = {
    "accuracy": (lambda row: (row["model"], row["flip"], row["runtime"].split()[0]), _accuracy),
    "latency": (lambda row: (row["model"], row["threads"], row["runtime"].split()[0]), _latency),
    "start": (lambda row: (row["model"],), _start),
    "arm-instructions": (lambda row: (row["cpu"], row["case"]), _instructions),
}
