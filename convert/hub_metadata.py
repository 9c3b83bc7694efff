"""The metadata of a model hub, made from a model's card, and its YAML.

https://huggingface.co/docs/hub/model-cards describes it; the figures are a model-index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fer_edge.edge.errors import printable
from fer_edge.edge.tflite.card import UNKNOWN, ModelCard
from fer_edge.train.origin import FER2013, known_name

LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense", "isc", "zlib",
)  # fmt: skip
"""Licences that the hub knows by these names; a card's that begins with one of them is that one."""

ROWS = {
    "all": "all rows",
    "not_exact": "rows that are not byte for byte in the train split",
    "clean": "clean rows: the photograph is not in the train split",
}
FIGURES = {
    "accuracy": ("accuracy", "Accuracy"),
    "balanced_accuracy": ("recall", "Balanced accuracy (macro recall)"),
}
"""Figures of a card that the hub has a metric for: its name there, and what it is called."""


def hub_metadata(card: ModelCard) -> dict[str, Any]:
    """The metadata that a hub reads, with the figures as the card has them, 0..1.

    Args:
        card: The model's card.

    Returns:
        What the YAML before the README holds.
    """
    metadata: dict[str, Any] = _licence(card.licence)
    metadata |= {
        "library_name": "litert",
        "pipeline_tag": "image-classification",
        "tags": ["litert", "tflite", "fer-edge", card.quantization, "face-classification", "edge"],
    }
    data = data_name(card)
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", data or ""):
        metadata["datasets"] = [_data_id(card)]
    if data == FER2013:
        metadata["tags"].append("facial-expression-recognition")
    results = list(_results(card))
    if results:
        metadata["metrics"] = [hub_name for hub_name, _ in FIGURES.values()]
        metadata["model-index"] = [{"name": card.name, "results": results}]
    return metadata


def _results(card: ModelCard) -> Iterator[dict[str, Any]]:
    """The card's figures in the first runtime that it was measured in, a result for each set of rows."""
    _, figures = measured_figures(card)
    split = str(card.accuracy.get("split", "val"))
    for key, each in figures_by_rows(figures).items():
        metrics = [
            {"type": hub_name, "name": label, "value": each[figure]}
            for figure, (hub_name, label) in FIGURES.items()
            if isinstance(each.get(figure), int | float)
        ]
        if metrics:
            yield {
                "task": {"type": "image-classification", "name": "Image classification"},
                "dataset": {
                    "name": f"{data_name(card) or 'unnamed data'}, {split}, {ROWS.get(key, key)}",
                    "type": _data_id(card),
                    "split": split,
                },
                "metrics": metrics,
            }


def measured_figures(card: ModelCard) -> tuple[str, dict[str, Any]]:
    """The first runtime in which the file was measured, and its figures; empty where there is none."""
    runtimes = card.accuracy.get("runtimes")
    items = runtimes.items() if isinstance(runtimes, dict) else ()
    return next(((name, figures) for name, figures in items if isinstance(figures, dict)), ("", {}))


def figures_by_rows(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of each set of rows; of all rows, where a card does not tell them apart."""
    rows = figures.get("rows")
    stored = rows if isinstance(rows, dict) else {"all": figures}
    return {str(key): each for key, each in stored.items() if isinstance(each, dict) and each}


def data_name(card: ModelCard) -> str | None:
    """The data set that the card names, or is known to be of by its fingerprint; None where it is unknown."""
    said, fingerprints = card.training.get("data_name"), card.training.get("fingerprints")
    if isinstance(said, str) and said != UNKNOWN:
        return said
    return known_name(fingerprints) if isinstance(fingerprints, dict) else None


def _data_id(card: ModelCard) -> str:
    """The data set's name as a hub's identifier."""
    return re.sub(r"[^a-z0-9._/-]+", "-", (data_name(card) or "unknown").lower()).strip("-") or "unknown"


def _licence(text: str) -> dict[str, Any]:
    """The hub's entries for a licence in a card's words."""
    first = re.match(r"[\w.+-]*", text.strip().lower())
    name = first[0].rstrip(".") if first else ""
    if name in LICENCES:
        return {"license": name}
    if name in ("", "unknown"):
        return {"license": "unknown"}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", text.lower())[:64].strip("-") or "other"}


def yaml_lines(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of YAML for a table of texts, numbers, lists and tables."""
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield f"{indent}{key}:"
            yield from yaml_lines(each, indent + "  ")
        elif isinstance(each, list):
            yield f"{indent}{key}:"
            for item in each:
                lines = (
                    list(yaml_lines(item, indent + "  "))
                    if isinstance(item, Mapping)
                    else [indent + "  " + _scalar(item)]
                )
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
        else:
            yield f"{indent}{key}: {_scalar(each)}"


def _scalar(value: Any) -> str:
    """A text in JSON's quotes, which YAML reads, or a number without an exponent, which YAML 1.1 takes for a text."""
    if isinstance(value, float) and "e" in repr(value):
        return f"{value:.12f}"
    return json.dumps(printable(value) if isinstance(value, str) else value, ensure_ascii=False)
