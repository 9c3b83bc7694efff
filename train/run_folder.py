"""What a finished run leaves in its folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.files import atomic_path, write_json
from fer_edge.train.data.splits import Dataset, fingerprint
from fer_edge.train.evaluation import report
from fer_edge.train.evaluation.metrics import Metrics, measure
from fer_edge.train.loop import predict_logits
from fer_edge.train.weights import save_half


def leave(
    out: Path,
    name: str,
    model: Any,
    made_of: dict[str, Any],
    history: Sequence[dict[str, float | str]],
    dataset: Dataset,
) -> Metrics:
    """Write models, metrics, history and pictures, each complete or not at all; returns the metrics on val.

    made_of is kept with the metrics: the recipe, what was learnt besides the labels, the first weights.
    """
    for target in (out / "float.keras", out / "float.h5"):
        _save(model, target)
    save_half(model, out / "float.npz")
    val = dataset.split("val")
    metrics = measure(softmax(predict_logits(model, val.faces)), val.labels)
    write_json(
        out / "metrics.json",
        {
            "name": name,
            "parameters": int(model.count_params()),
            "split": "val",
            **metrics.to_dict(),
            "training_accuracy_last_epoch": history[-1]["accuracy"] if history else None,
            **made_of,
            "data": {
                split: {"pictures": len(part), "sha256": fingerprint(part)} for split, part in dataset.splits.items()
            },
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "seconds": round(sum(float(row["seconds"]) for row in history), 1),
            "date": time.strftime("%Y-%m-%d"),
        },
    )
    report.write_history(out / "history.csv", history)
    report.plot_history(out / "training_curves.png", history, name)
    report.plot_confusion(out / "confusion_matrix.png", metrics, f"{name}, validation split")
    return metrics


def _save(model: Any, target: Path) -> None:
    """Write the model in its suffix's format whole or not at all; SinkError."""
    with atomic_path(target) as beside:
        try:
            model.save(beside)
        except RuntimeError as error:  # h5py's for a full disk
            raise OSError(str(error).splitlines()[0][:160]) from None
