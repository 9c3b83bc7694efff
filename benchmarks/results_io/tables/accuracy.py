"""Tables of how right the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fer_edge.benchmarks.accuracy import label
from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS
from fer_edge.benchmarks.results_io.tables.markdown import machine, markdown, measured_on, mib, percent, ratio
from fer_edge.edge.tflite.card import ModelCard
from fer_edge.edge.types import EMOTIONS


def accuracy(result: dict[str, Any]) -> str:
    """How right each model is in each runtime, with and without the mirrored face."""
    rows = [
        (
            label(row),
            row["runtime"],
            mib(row["bytes"]),
            str(row["invocations"]),
            percent(row["accuracy"]),
            percent(row["balanced_accuracy"]),
            f"{row['ece']:.3f}",
        )
        for row in result["rows"]
    ]
    columns = ("model", "runtime", "files", "invocations", "accuracy", "balanced", "calibration error")
    return f"{measured_on(result)}\n\n{markdown(columns, rows)}"


def recall(result: dict[str, Any]) -> str:
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
                *(percent(row["per_class"][name]["recall"], 1) for name in EMOTIONS),
                f"{said:.2f}",
                percent(confusion[fear][surprise] / max(1, sum(confusion[fear])), 1),
                percent(confusion[surprise][fear] / max(1, sum(confusion[surprise])), 1),
            )
        )
    columns = ("model", *EMOTIONS, "neutral said / is", "fear as surprise", "surprise as fear")
    return f"{result['rows'][0]['runtime']}, {measured_on(result)}\n\n{markdown(columns, rows)}"


def robustness(result: dict[str, Any]) -> str:
    """The last model's row, by default the ensemble's, and its cascade's: accuracy at each strength, which stands in
    brackets.
    """
    row = result["rows"][-1]
    ways = {row["model"]: row} | ({f"{row['model']}, as a cascade,": row["early_exit"]} if "early_exit" in row else {})
    parts = [f"{result['runtime']}, {measured_on(result)}"]
    for name, way in ways.items():
        columns = (f"{name} under", "strength in", *map(str, range(1, 6)))
        parts.append(markdown(columns, [_degraded(way["degraded"][kind], kind) for kind in DEGRADATIONS]))
    return "\n\n".join(parts)


def _degraded(found: Sequence[float], name: str) -> tuple[str, ...]:
    kind = DEGRADATIONS[name]
    pairs = zip(found, kind.strengths, strict=True)
    return name, kind.unit, *(f"{percent(share, 1)} ({strength:g})" for share, strength in pairs)


def quantization(cards: Sequence[ModelCard]) -> str:
    """What int8 costs each network, from the cards of the files that were fine-tuned for it."""
    rows, heads = [], []
    for card in cards:
        found = card.accuracy
        runtime, tuned = next((name, each) for name, each in found["runtimes"].items() if isinstance(each, dict))
        kinds = {"float": found["float"], "int8, after training": found["post_training"], "int8, fine-tuned": tuned}
        for kind, each in kinds.items():
            rows.append(
                (
                    f"{card.architecture}, {kind}",
                    *(percent(each[name]) for name in ("accuracy", "balanced_accuracy")),
                    f"{each['ece']:.3f}",
                    percent(each["agreement"], 1) if "agreement" in each else "–",
                )
            )
        split = f"split `{found['split']}`, {found['pictures']} pictures"
        heads.append(f"{runtime.split(',')[0]}, {split}; {machine(found)}")
    columns = ("network", "accuracy", "balanced", "calibration error", "answers as float")
    return f"{' '.join(dict.fromkeys(heads))}\n\n{markdown(columns, rows)}"


def early_exit(result: dict[str, Any]) -> str:
    """The whole ensemble beside its cascade: accuracy, networks a face, milliseconds."""
    rows = [
        (
            row["mode"],
            percent(row["accuracy"]),
            f"{row['models_per_face']:.2f}",
            *(f"{row['ms'][name]:.2f}" for name in ("mean", "p50", "p90", "p99")),
            "1.00" if row["mode"] == "all models" else ratio(result),
        )
        for row in result["rows"]
    ]
    columns = ("members asked", "accuracy", "a face", "mean ms", "p50", "p90", "p99", "times cheaper")
    head = f"{result['runtime']}, threads: {result['threads']}, {measured_on(result)}"
    return f"{head}\n\n{markdown(columns, rows)}"
