"""A folder for a model hub (Hugging Face): the .tflite file, its card, its labels, and a README made from the card.

The README begins with the metadata that the hub reads: YAML between two lines of dashes, with the figures of the card
as a model-index (https://huggingface.co/docs/hub/model-cards). Nothing here connects to a hub.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from string import Template

from fer_edge.convert.hub_metadata import ROWS, data_name, figures_by_rows, hub_metadata, measured_figures, yaml_lines
from fer_edge.edge.errors import SinkError, printable
from fer_edge.edge.files.writing import make_folder
from fer_edge.edge.tflite.card import ModelCard, card_path, checked_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.labels import LABELS_FILE

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
        metadata="\n".join(yaml_lines(hub_metadata(card))),
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


def _accuracy_table(card: ModelCard) -> str:
    """The card's figures in the first runtime as Markdown."""
    runtime, figures = measured_figures(card)
    if not figures:
        return "Not measured."
    columns = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "ece": "ECE", "nll": "NLL"}
    lines = [f"| rows | pictures | {' | '.join(columns.values())} |", "|---|--:|" + "--:|" * len(columns)]
    for key, each in figures_by_rows(figures).items():
        values = " | ".join(f"{each[column]}" if column in each else "–" for column in columns)
        lines.append(
            f"| {ROWS.get(key, key)} | {each.get('pictures', card.accuracy.get('pictures', '–'))} | {values} |"
        )
    data = data_name(card) or "unnamed data"
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
