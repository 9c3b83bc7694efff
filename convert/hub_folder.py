"""A folder for a model hub (Hugging Face): the .tflite file, its card, its labels, and a README made from the card.

The README begins with the metadata that the hub reads: YAML between two lines of dashes, with the figures of the card
as a model-index (https://huggingface.co/docs/hub/model-cards). Nothing here connects to a hub.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from fer_edge.edge.errors import SinkError, printable
from fer_edge.edge.files.writing import make_folder
from fer_edge.edge.tflite.card import UNKNOWN, ModelCard, card_path, checked_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.labels import LABELS_FILE
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

_README = Template("""\
---
$metadata
---

# $name

$architecture as a TFLite (LiteRT) file, $quantization: it tells $count classes of faces apart, $labels.
`$name.json` is its card for fer-edge, with its training and conversion; `labels.txt` lists the classes in the order of
the output.

## Use

With fer-edge, which finds the faces, crops them, and checks the file against its card:

```sh
fer-edge predict photo.jpg --model $name.tflite
```

```python
from fer_edge import Frame, PipelineOptions, open_pipeline, read_picture

pipeline = open_pipeline(PipelineOptions(model="$name.tflite"))
for prediction in pipeline.process(Frame(read_picture("photo.jpg"))):
    print(prediction.emotion, f"{prediction.confidence:.0%}", prediction.face.box)
```
$alone
## Accuracy

$accuracy

## Intended use

$intended_use

## Limits

$limits

## Licence

$licence
""")

_ALONE = Template("""
Without it, for one upright, cropped face:

```python
import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("$name.tflite")
interpreter.allocate_tensors()
(image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
_, height, width, channels = image["shape"]
black, white = $low, $high
face = cv2.resize(cv2.imread("face.png", cv2.IMREAD_GRAYSCALE), (width, height))
values = np.repeat(face[None, :, :, None] / 255 * (white - black) + black, channels, axis=3)
if np.issubdtype(image["dtype"], np.integer):
    scale, zero = image["quantization"]
    limits = np.iinfo(image["dtype"])
    values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
interpreter.set_tensor(image["index"], values.astype(image["dtype"]))
interpreter.invoke()
logits = interpreter.get_tensor(output["index"])[0].astype(np.float32)
if np.issubdtype(output["dtype"], np.integer):
    scale, zero = output["quantization"]
    logits = (logits - zero) * scale
scores = np.exp(logits - logits.max())
scores /= scores.sum()
labels = open("labels.txt").read().splitlines()
print(labels[scores.argmax()], scores.round(3))
```
""")


def export_hub_folder(model: Path, folder: Path) -> Path:
    """Write a folder that can be pushed to a model hub as it is.

    Args:
        model: The .tflite file, with its card beside it.
        folder: The folder; it must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        ModelError: The model or its card is missing or damaged, or they do not belong together.
        SinkError: The folder has files in it, or cannot be written.
    """
    card, name = checked_card(model), _file_name(model)
    readme = hub_readme(model, card)
    real = Path(os.path.realpath(folder))
    if real.exists() and (not real.is_dir() or any(real.iterdir())):
        raise SinkError(f"{folder} exists and is no empty folder; expected a new one")
    part = real.with_name(f".part-{os.getpid()}-{real.name}")
    try:
        make_folder(part)
        shutil.copyfile(model, part / f"{name}.tflite")
        shutil.copyfile(card_path(model), part / f"{name}.json")
        (part / LABELS_FILE).write_text("".join(f"{label}\n" for label in card.labels), "utf-8")
        (part / "README.md").write_text(readme, "utf-8")
        os.replace(part, real)
    except OSError as error:
        raise SinkError(f"{folder} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def hub_readme(model: Path, card: ModelCard) -> str:
    """The README of a hub's folder.

    Args:
        model: The .tflite file.
        card: Its card.

    Returns:
        Markdown with the hub's metadata before it.
    """
    texts = {key: printable(getattr(card, key)) for key in ("intended_use", "limits", "licence", "quantization")}
    return _README.substitute(
        texts,
        metadata="\n".join(_yaml(hub_metadata(card))),
        name=_file_name(model),
        architecture=printable(card.architecture),
        count=len(card.labels),
        labels=", ".join(card.labels),
        alone=_standalone(model, card),
        accuracy=_accuracy_table(card),
    )


def _file_name(model: Path) -> str:
    """The model's name without its suffix, of characters that need no quotes in commands and programs."""
    return re.sub(r"[^\w.+-]", "_", model.stem, flags=re.ASCII)


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
    data = _data_name(card)
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
    _, figures = _measured(card)
    split = str(card.accuracy.get("split", "val"))
    for key, each in _rows(figures).items():
        metrics = [
            {"type": hub_name, "name": label, "value": each[figure]}
            for figure, (hub_name, label) in FIGURES.items()
            if isinstance(each.get(figure), int | float)
        ]
        if metrics:
            yield {
                "task": {"type": "image-classification", "name": "Image classification"},
                "dataset": {
                    "name": f"{_data_name(card) or 'unnamed data'}, {split}, {ROWS.get(key, key)}",
                    "type": _data_id(card),
                    "split": split,
                },
                "metrics": metrics,
            }


def _measured(card: ModelCard) -> tuple[str, dict[str, Any]]:
    """The first runtime in which the file was measured, and its figures; empty where there is none."""
    runtimes = card.accuracy.get("runtimes")
    items = runtimes.items() if isinstance(runtimes, dict) else ()
    return next(((name, figures) for name, figures in items if isinstance(figures, dict)), ("", {}))


def _rows(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of each set of rows; of all rows, where a card does not tell them apart."""
    rows = figures.get("rows")
    stored = rows if isinstance(rows, dict) else {"all": figures}
    return {str(key): each for key, each in stored.items() if isinstance(each, dict) and each}


def _data_name(card: ModelCard) -> str | None:
    """The data set that the card names, or is known to be of by its fingerprint; None where it is unknown."""
    said, fingerprints = card.training.get("data_name"), card.training.get("fingerprints")
    if isinstance(said, str) and said != UNKNOWN:
        return said
    return known_name(fingerprints) if isinstance(fingerprints, dict) else None


def _data_id(card: ModelCard) -> str:
    """The data set's name as a hub's identifier."""
    return re.sub(r"[^a-z0-9._/-]+", "-", (_data_name(card) or "unknown").lower()).strip("-") or "unknown"


def _licence(text: str) -> dict[str, Any]:
    """The hub's entries for a licence in a card's words."""
    first = re.match(r"[\w.+-]*", text.strip().lower())
    name = first[0].rstrip(".") if first else ""
    if name in LICENCES:
        return {"license": name}
    if name in ("", "unknown"):
        return {"license": "unknown"}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", text.lower())[:64].strip("-") or "other"}


def _accuracy_table(card: ModelCard) -> str:
    """The card's figures in the first runtime as Markdown."""
    runtime, figures = _measured(card)
    if not figures:
        return "Not measured."
    columns = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "ece": "ECE", "nll": "NLL"}
    lines = [f"| rows | pictures | {' | '.join(columns.values())} |", "|---|--:|" + "--:|" * len(columns)]
    for key, each in _rows(figures).items():
        values = " | ".join(f"{each[column]}" if column in each else "–" for column in columns)
        lines.append(
            f"| {ROWS.get(key, key)} | {each.get('pictures', card.accuracy.get('pictures', '–'))} | {values} |"
        )
    data = _data_name(card) or "unnamed data"
    return "\n".join(
        [
            *lines,
            "",
            f"On the validation split of {data}, in {printable(runtime)}. The card has 95 % intervals and recalls.",
        ]
    )


def _standalone(model: Path, card: ModelCard) -> str:
    """An example without fer-edge, for models that take gray faces and answer with logits; nothing for others."""
    shape = open_interpreter(model, xnnpack=False).inputs[0].shape
    gray = (
        card.colour.startswith("gray") and card.crop_margin is None and len(card.pixel_range) == 2 and len(shape) == 4
    )
    if not gray or card.output != "logits":
        return ""
    low, high = card.pixel_range
    return _ALONE.substitute(name=_file_name(model), low=f"{low:g}", high=f"{high:g}")


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of YAML for a table of texts, numbers, lists and tables."""
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(each, indent + "  ")
        elif isinstance(each, list):
            yield f"{indent}{key}:"
            for item in each:
                lines = (
                    list(_yaml(item, indent + "  ")) if isinstance(item, Mapping) else [indent + "  " + _scalar(item)]
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
