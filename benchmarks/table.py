"""Result files to Markdown tables, and those into a page between its markers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.accuracy import label
from fer_edge.benchmarks.degradations import DEGRADATIONS
from fer_edge.benchmarks.record import RESULTS, ResultError, read
from fer_edge.edge.files import write_bytes
from fer_edge.edge.types import EMOTIONS

_MARKER = re.compile(r"(<!-- table:([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Page whose tables are replaced.")
def table(results: tuple[Path, ...], write: Path | None) -> None:
    """Make Markdown tables of RESULT files (default: all of benchmarks/results)."""
    rendered = tables(list(results) or sorted(RESULTS.glob("*.json")))
    if not rendered:
        raise ResultError(f"no results with a table in {RESULTS}; 'fer-edge bench accuracy' writes one")
    if write is None:
        click.echo("\n\n".join(rendered.values()))
        return
    click.echo(f"wrote {', '.join(replace(write, rendered))} into {write}", err=True)


def tables(paths: list[Path]) -> dict[str, str]:
    """By name, one table per result file with a line above that says what it was measured on."""
    parts = defaultdict(list)
    for path in paths:
        result = read(path)
        for name, (kind, render) in _RENDER.items():
            if result["kind"] == kind and (rendered := render(result)):
                parts[name].append(rendered)
    return {name: "\n\n".join(parts[name]) for name in _RENDER if name in parts}


def insert(page: str, rendered: dict[str, str]) -> str:
    """The page with each `<!-- table:NAME -->` … `<!-- /table -->` filled; one without results stays as it is."""
    return _MARKER.sub(
        lambda found: f"{found[1]}{rendered[found[2]]}\n{found[3]}" if found[2] in rendered else found[0], page
    )


def replace(path: Path, rendered: dict[str, str]) -> list[str]:
    """Fill a page's tables on disk, complete or not at all; which they were. ResultError where it has none of them."""
    try:
        page = path.read_text("utf-8")
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}; expected a Markdown page") from None
    filled = [found[1] for found in _MARKER.findall(page) if found[1] in rendered]
    if not filled:
        raise ResultError(
            f"{path} has no place for {', '.join(sorted(rendered))}; "
            "expected <!-- table:NAME --> and <!-- /table --> on lines of their own"
        )
    write_bytes(path, insert(page, rendered).encode())
    return filled


def _accuracy(result: dict[str, Any]) -> str:
    rows = [
        (
            label(row),
            row["runtime"],
            _mib(row["bytes"]),
            str(row["invocations"]),
            _percent(row["accuracy"]),
            _percent(row["balanced_accuracy"]),
            f"{row['ece']:.3f}",
        )
        for row in result["rows"]
    ]
    columns = ("model", "runtime", "files", "invocations", "accuracy", "balanced", "calibration error")
    return f"{_measured_on(result)}\n\n{_markdown(columns, rows)}"


def _recall(result: dict[str, Any]) -> str:
    """Each class's recall, and what is known to go wrong: neutral said too often, fear and surprise exchanged."""
    rows = []
    for row in result["rows"]:
        if row["flip"] or row["runtime"] != result["rows"][0]["runtime"]:
            continue
        confusion = row["confusion"]
        fear, surprise, neutral = (EMOTIONS.index(name) for name in ("fear", "surprise", "neutral"))
        said = sum(line[neutral] for line in confusion) / max(1, sum(confusion[neutral]))
        rows.append(
            (
                label(row),
                *(_percent(row["per_class"][name]["recall"], 1) for name in EMOTIONS),
                f"{said:.2f}",
                _percent(confusion[fear][surprise] / max(1, sum(confusion[fear])), 1),
                _percent(confusion[surprise][fear] / max(1, sum(confusion[surprise])), 1),
            )
        )
    columns = ("model", *EMOTIONS, "neutral said / is", "fear as surprise", "surprise as fear")
    return f"{result['rows'][0]['runtime']}, {_measured_on(result)}\n\n{_markdown(columns, rows)}"


def _robustness(result: dict[str, Any]) -> str:
    """The last model's row, by default the ensemble's: accuracy at each strength, which stands in brackets."""
    row = result["rows"][-1]
    rows = [
        (
            name,
            kind.unit,
            *(
                f"{_percent(found, 1)} ({strength:g})"
                for strength, found in zip(kind.strengths, row["degraded"][name], strict=True)
            ),
        )
        for name, kind in DEGRADATIONS.items()
    ]
    columns = (f"{row['model']} under", "strength in", *map(str, range(1, 6)))
    return f"{result['runtime']}, {_measured_on(result)}\n\n{_markdown(columns, rows)}"


def _cascade(result: dict[str, Any]) -> str:
    rows = [
        (
            row["how"],
            _percent(row["accuracy"]),
            f"{row['members']:.2f}",
            *(f"{row['ms'][name]:.2f}" for name in ("mean", "p50", "p90", "p99")),
            "1.00" if row["how"] == "whole" else _ratio(result),
        )
        for row in result["rows"]
    ]
    columns = ("members asked", "accuracy", "a face", "mean ms", "p50", "p90", "p99", "times cheaper")
    head = f"{result['runtime']}, threads: {result['threads']}, {_measured_on(result)}"
    return f"{head}\n\n{_markdown(columns, rows)}"


def _latency(result: dict[str, Any]) -> str:
    head = f"Milliseconds for one face, {result['runs']} calls after {result['warmup']}; {_machine(result)}"
    rows = [
        (
            row["model"],
            row["runtime"],
            str(row["threads"]),
            f"{row['open']:.1f}",
            f"{row['first']:.1f}",
            *(f"{row['classifier'][name]:.2f}" for name in ("p50", "p90", "p99")),
            *(f"{row[name]['p50']:.2f}" if name in row else "–" for name in ("invoke", "frame")),
            _ratio(row),
            f"{row['peak_mib']:.0f} MiB" if row["peak_mib"] else "–",
        )
        for row in result["rows"]
    ]
    timed = ("open", "first", "p50", "p90", "p99", "invoke", "frame", "ratio", "peak memory")
    columns = ("model", "runtime", "threads", *timed)
    return f"{head}\n\n{_markdown(columns, rows)}"


def _measured_on(result: dict[str, Any]) -> str:
    data = result["data"]
    return f"{data['name']}, split `{data['split']}`, {data['pictures']} pictures; {_machine(result)}"


def _pipeline(result: dict[str, Any]) -> str:
    first = result["rows"][0]
    asked = "asking as 'fer-edge run' does" if first["cascade"] and first["unchanged"] else _asking(first)
    head = f"Mean of {result['frames']} frames in milliseconds, {asked}; {_machine(result)}"
    shown = ("capture", "detect", "crop", "classify", "draw", "sink")
    rows = [
        (
            _clip(row),
            f"{row['faces_found']:.1f}",
            str(row["threads"]),
            *(f"{row['stages'][name]['mean']:.2f}" for name in shown),
            *(f"{row['stages'][name]['p90']:.2f}" for name in ("detect", "classify")),
            f"{row['networks']:.2f}",
            _percent(row["outside"], 0),
            f"{1000 * row['cpu_seconds']:.1f}",
            f"{row['rate']:.0f}",
            f"{row['camera']['dropped']} of {row['camera']['taken'] + row['camera']['dropped']}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    columns = (
        "clip",
        "found",
        "threads",
        *shown,
        "detect p90",
        "classify p90",
        "networks a face",
        "outside them",
        "CPU ms a frame",
        "frames/s",
        "dropped at 30 frames/s",
        "peak memory",
    )
    return f"{head}\n\n{_markdown(columns, rows)}"


def _asking(row: dict[str, Any]) -> str:
    """Which networks are asked how often, where that is not as `run` does it."""
    networks = "the cascade" if row["cascade"] else "the whole ensemble"
    return f"{networks} asked {'about what has changed' if row['unchanged'] else 'about every face in every frame'}"


def _sustained(result: dict[str, Any]) -> str:
    """From the first window to the last of what ran for minutes; nothing where nothing did."""
    rows = []
    for row in result["rows"]:
        if not row.get("sustained"):
            continue
        first, last = row["sustained"][0], row["sustained"][-1]
        memory, warmth = row["resident_mib"], (first["celsius"], last["celsius"])
        rows.append(
            (
                _clip(row),
                str(row["threads"]),
                f"{last['seconds'] / 60:.1f}",
                f"{first['rate']:.0f} → {last['rate']:.0f}",
                *(f"{first['ms'][name]:.1f} → {last['ms'][name]:.1f}" for name in ("p50", "p99")),
                f"{memory['start']:.0f} → {memory['end']:.0f} MiB",
                "–" if None in warmth else f"{warmth[0]:.0f} → {warmth[1]:.0f}",
                ", ".join(last["throttled"] or ()) or "–",
            )
        )
    if not rows:
        return ""
    head = f"From the first seconds to the last, without a pause, milliseconds of a frame; {_machine(result)}"
    columns = ("clip", "threads", "minutes", "frames/s", "p50", "p99", "resident memory", "°C", "throttled")
    return f"{head}\n\n{_markdown(columns, rows)}"


def _clip(row: dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']}, {row['faces']} {'face' if row['faces'] == 1 else 'faces'}"


def _peers(result: dict[str, Any]) -> str:
    rows = [
        (
            row["name"],
            row["package"],
            _percent(row["accuracy"]),
            *(f"{row['frame'][name]:.1f}" for name in ("mean", "p50", "p90", "p99")),
            _ratio(row, 1),
            f"{row['classifier']['p50']:.2f}" if "classifier" in row else "–",
            f"{row['first_ms']:.0f}",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    timed = ("frame mean", "p50", "p90", "p99", "mean of run's", "network p50", "first answer", "peak memory")
    return f"Milliseconds on one core; {_measured_on(result)}\n\n{_markdown(('', 'package', 'accuracy', *timed), rows)}"


def _start(result: dict[str, Any]) -> str:
    head = f"Milliseconds from process to end, {result['runs']} processes each; {_machine(result)}"
    rows = [
        (
            row["model"],
            *(f"{row['ms'][name]:.0f}" for name in ("p50", "p90", "p99")),
            _ratio(row),
            f"{row['rate']:.0f}" if "rate" in row else "–",
            f"{row['peak_mib']:.0f} MiB",
        )
        for row in result["rows"]
    ]
    return f"{head}\n\n{_markdown(('what', 'p50', 'p90', 'p99', 'ratio', 'frames/s', 'peak memory'), rows)}"


def _faces(result: dict[str, Any]) -> str:
    """A row for each way to ask a model, a column for each number of faces."""
    counts = sorted({row["faces"] for row in result["rows"]})
    times: dict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    for row in result["rows"]:
        times[row["model"], row["way"], row["threads"]][row["faces"]] = f"{row['ms']['p50'] / row['faces']:.2f}"
    rows = [
        (f"{model}, {way}", str(threads), *(found.get(count, "–") for count in counts))
        for (model, way, threads), found in times.items()
    ]
    head = f"Milliseconds a face, p50 of {result['runs']} calls with so many at once; {_machine(result)}"
    return f"{head}\n\n{_markdown(('', 'threads', *map(str, counts)), rows)}"


def _layers(result: dict[str, Any]) -> str:
    threads = ", ".join(sorted({str(row["threads"]) for row in result["rows"]}))
    head = f"Milliseconds of one invocation, threads: {threads}; {_machine(result)}"
    kinds = tuple(result["rows"][0]["kinds"])
    rows = [
        (
            row["model"],
            row["runtime"],
            f"{row['ms']:.2f}",
            *(f"{row['kinds'][kind]['ms']:.2f} ({_percent(row['kinds'][kind]['share'], 0)})" for kind in kinds),
        )
        for row in result["rows"]
    ]
    return f"{head}\n\n{_markdown(('model', 'runtime', 'whole', *kinds), rows)}"


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    software = ", ".join(
        f"{name} {found}" for name, found in machine["packages"].items() if name in ("ai-edge-litert", "tflite-runtime")
    )
    parts = [
        machine["model"] or machine["cpu"],
        f"{machine['cores']} cores",
        machine["os"],
        f"Python {machine['python']}",
        software,
        machine["date"][:10],
    ]
    return f"{', '.join(part for part in parts if part)}."


def _ratio(row: dict[str, Any], digits: int = 2) -> str:
    """A ratio and its 95 % interval; that of what is compared with itself has none."""
    low, high = row["ratio_interval"]
    return f"{row['ratio']:.{digits}f}" + ("" if low == high else f" ({low:.{digits}f}–{high:.{digits}f})")


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _markdown(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A GitHub table; the first column left, the others right."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


_RENDER: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "accuracy": ("accuracy", _accuracy),
    "recall": ("accuracy", _recall),
    "robustness": ("robustness", _robustness),
    "cascade": ("cascade", _cascade),
    "latency": ("latency", _latency),
    "faces": ("faces", _faces),
    "layers": ("layers", _layers),
    "start": ("start", _start),
    "pipeline": ("pipeline", _pipeline),
    "sustained": ("pipeline", _sustained),
    "peers": ("peers", _peers),
}
