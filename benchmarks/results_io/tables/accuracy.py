"""Tables of accuracy: per model, per class, of int8 against float, with early exit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fer_edge.benchmarks.results_io.tables.markdown import (
    NOT_MEASURED,
    filled,
    machine,
    markdown,
    measured_on,
    mib,
    percent,
    ratio,
    row_label,
    rows_accuracy,
)
from fer_edge.edge.tflite.card import ModelCard
from fer_edge.train.evaluation.row_sets import CLEAN, NOT_EXACT, WORDS


def accuracy(result: dict[str, Any]) -> str:
    """Accuracy and calibration per model and runtime, with and without the mirrored face, on each set of rows."""
    rows = [
        (
            row_label(row),
            row["runtime"],
            mib(row["bytes"]),
            str(row["invocations"]),
            f"{100 * row['accuracy']:.2f}",
            *(rows_accuracy(row, rows) for rows in (NOT_EXACT, CLEAN)),
            f"{100 * row['balanced_accuracy']:.2f}",
            f"{row['ece']:.3f}",
            f"{row['nll']:.3f}" if "nll" in row else NOT_MEASURED,
        )
        for row in result["rows"]
    ]
    shares = ("accuracy, %", f"{WORDS[NOT_EXACT]}, %", f"{WORDS[CLEAN]}, %", "balanced accuracy, %")
    columns = ("model", "runtime", "file size", "invocations", *shares, "calibration error", "negative log-likelihood")
    return f"{measured_on(result)}\n\n{markdown(*filled(columns, rows))}"


def recall(result: dict[str, Any]) -> str:
    """Recall per class and, of FER2013's, the known confusions: too many neutral faces, fear and surprise exchanged."""
    rows = []
    classes = tuple(result["rows"][0]["per_class"])
    known = {"fear", "surprise", "neutral"} <= set(classes)
    for row in result["rows"]:
        if row["flip"] or row["runtime"] != result["rows"][0]["runtime"]:
            continue
        recalls = (percent(row["per_class"][name]["recall"], 1) for name in classes)
        rows.append((row_label(row), *recalls, *(_confusions(row["confusion"], classes) if known else ())))
    confusions = ("neutral predicted / labelled", "fear as surprise", "surprise as fear") if known else ()
    columns = ("model", *classes, *confusions)
    return f"{result['rows'][0]['runtime']}, {measured_on(result)}\n\n{markdown(columns, rows)}"


def _confusions(confusion: list[list[int]], classes: Sequence[str]) -> tuple[str, str, str]:
    """Predictions of neutral per label, and the shares of fear taken for surprise and the reverse.

    confusion: (C, C), a row per label.
    """
    fear, surprise, neutral = (classes.index(name) for name in ("fear", "surprise", "neutral"))
    predictions_per_label = sum(line[neutral] for line in confusion) / max(1, sum(confusion[neutral]))
    return (
        f"{predictions_per_label:.2f}",
        percent(confusion[fear][surprise] / max(1, sum(confusion[fear])), 1),
        percent(confusion[surprise][fear] / max(1, sum(confusion[surprise])), 1),
    )


def quantization(cards: Sequence[ModelCard]) -> str:
    """Accuracy of each network in float, in int8 after training, and in int8 after fine-tuning, from the cards."""
    rows, heads = [], []
    for card in cards:
        stored = card.accuracy
        runtime, tuned = next((name, each) for name, each in stored["runtimes"].items() if isinstance(each, dict))
        versions = {"float": stored["float"], "int8, post-training": stored["post_training"], "int8, fine-tuned": tuned}
        for version, figures in versions.items():
            rows.append(
                (
                    f"{card.architecture}, {version}",
                    *(percent(figures[name]) for name in ("accuracy", "balanced_accuracy")),
                    f"{figures['ece']:.3f}",
                    percent(figures["agreement"], 1) if "agreement" in figures else "–",
                )
            )
        split = f"split `{stored['split']}`, {stored['pictures']} pictures"
        heads.append(f"{runtime.split(',')[0]}, {split}; {machine(stored)}")
    columns = ("model", "accuracy", "balanced accuracy", "calibration error", "top-1 agreement with float")
    return f"{' '.join(dict.fromkeys(heads))}\n\n{markdown(columns, rows)}"


def early_exit(result: dict[str, Any]) -> str:
    """The ensemble with all models and with early exit: accuracy, models per face, milliseconds."""
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
    columns = ("mode", "accuracy", "models per face", "mean ms", "p50 ms", "p90 ms", "p99 ms", "speed-up")
    head = f"{result['runtime']}, threads: {result['threads']}, {measured_on(result)}"
    return f"{head}\n\n{markdown(columns, rows)}"
