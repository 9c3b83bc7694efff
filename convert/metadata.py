"""TFLite metadata: description and labels inside a .tflite file, for Netron, MediaPipe, Android Studio and `unzip -l`.

The model holds a flatbuffer of the public schema metadata_schema.fbs in a buffer named TFLITE_METADATA; the files that
it refers to follow the model in a zip archive (https://ai.google.dev/edge/litert/models/metadata). Fields are given
here by their number in that schema: tflite-support and mediapipe, which know their names, are no longer built for this
Python or install a second OpenCV.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fer_edge.edge.device.version import package_version
from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.tflite.card import UNKNOWN, ModelCard, checked_card, write_model
from fer_edge.edge.tflite.labels import LABELS_FILE
from fer_edge.train.data.fer2013 import CLASSES

BUFFER_NAME = b"TFLITE_METADATA"
LAW = (
    "How a face looks to people who labelled pictures, not what a person feels; in the European Union not for work or "
    "education (Regulation (EU) 2024/1689, Art. 5(1)(f))."
)

Table = Mapping[int, Any]
"""A flatbuffer table: by field number a text, a numpy scalar, a table, or a sequence of tables or floats."""

TENSOR_AXIS_LABELS = np.int8(2)
IMAGE_PROPERTIES = np.uint8(2)
NORMALIZATION = np.uint8(1)
RGB, GRAYSCALE = np.int8(1), np.int8(2)


def label_file(model: Path, out: Path) -> Path:
    """Write a copy of a .tflite file with its card's classes and licence as metadata, and the card with the new sha256.

    Args:
        model: The .tflite file of a classifier, with its card beside it: without one nothing is known of it.
        out: The folder to write to; may be the file's own.

    Returns:
        The labelled file's path.

    Raises:
        ModelError: The file has no card or differs from it, is of another maker, is no classifier of the card's
            classes, or carries others.
    """
    card = own_card(model)
    TFLiteClassifier(model, classes=card.labels)
    path = out / model.name
    content = model.read_bytes()
    try:
        labelled = add_metadata(content, model.stem, card.labels, card.licence)
    except (ValueError, TypeError, IndexError, AttributeError, struct.error) as error:  # what a damaged table causes
        raise ModelError(f"{model} is no whole .tflite file: {shortened(error, 120)}") from None
    size = {"bytes": len(labelled)} if "bytes" in card.conversion else {}
    digest = hashlib.sha256(labelled).hexdigest()
    write_model(path, labelled, replace(card, sha256=digest, conversion=card.conversion | size))
    return path


def own_card(model: Path) -> ModelCard:
    """The card of a .tflite file that takes what `fer-edge convert`'s take; ModelError where it is another's.

    What this package writes into a file is true of its own: a gray face as gray / 127.5 - 1, and logits.
    """
    card = checked_card(model)
    takes = (card.colour.startswith("gray"), card.pixel_range, card.output, card.crop_margin)
    if card.architecture == UNKNOWN or takes != (True, (-1.0, 1.0), "logits", None):
        raise ModelError(f"{model} is of another maker, by its card; expected a file that 'fer-edge convert' wrote")
    return card


def add_metadata(content: bytes, name: str, classes: Sequence[str], licence: str) -> bytes:
    """Put metadata and labels into a .tflite file, in place of any that it has.

    Args:
        content: The .tflite file.
        name: The model's name.
        classes: (C,) names of its classes, in the order of its output.
        licence: Its licence.

    Returns:
        The file with metadata, tensors and graph unchanged; the same bytes for the same arguments.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    subgraph = {2: [_image(graph.tensors[graph.inputs[0]])], 3: [_emotion(classes)]}
    author, version = "fer-edge", "1.0.0"
    root = {0: name, 1: description(classes), 2: package_version(), 3: [subgraph], 4: author, 5: licence, 7: version}
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_flatbuffer(root, b"M001"), np.uint8)
    entries = {bytes(entry.name): entry for entry in model.metadata or []}
    if BUFFER_NAME in entries:
        model.buffers[entries[BUFFER_NAME].buffer] = buffer
    else:
        entry = schema.MetadataT()
        entry.name, entry.buffer = BUFFER_NAME, len(model.buffers)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO(builder.Output())
    with zipfile.ZipFile(file, "a") as archive:
        # ZipInfo is dated 1980: always the same bytes
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "\n".join(classes) + "\n")
    return file.getvalue()


def description(classes: Sequence[str]) -> str:
    """What a classifier gives, in a sentence, and what it does not."""
    if tuple(classes) == CLASSES:
        return f"What expression a face shows: seven logits, whose softmax are the scores. {LAW}"
    names = ", ".join(classes)
    return f"Which class a face looks like, of {names}: {len(classes)} logits, whose softmax are the scores. {LAW}"


def _image(image: Any) -> Table:
    """The input's TensorMetadata table."""
    _, height, width, channels = image.shape
    gray = "gray" if channels == 1 else "gray, the same in all three channels"
    quantized = "" if image.type == schema.TensorType.FLOAT32 else "; then the tensor's scale and zero point"
    properties = {0: GRAYSCALE if channels == 1 else RGB, 1: {0: np.uint32(width), 1: np.uint32(height)}}
    normalization = {0: np.array([127.5], np.float32), 1: np.array([127.5], np.float32)}  # mean, standard deviation
    return {
        0: "image",
        1: f"One upright face, {width} by {height} pixels, {gray}: gray / 127.5 - 1{quantized}.",
        3: {0: IMAGE_PROPERTIES, 1: properties},
        4: [{0: NORMALIZATION, 1: normalization}],
        5: {0: np.array([1], np.float32), 1: np.array([-1], np.float32)},  # largest, smallest
    }


def _emotion(classes: Sequence[str]) -> Table:
    """The output's TensorMetadata table."""
    labels = {0: LABELS_FILE, 1: "The classes in the order of the output.", 2: TENSOR_AXIS_LABELS, 3: "en"}
    return {0: "emotion", 1: f"One logit each for {', '.join(classes)}; their softmax are the scores.", 6: [labels]}


def _flatbuffer(root: Table, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(2048)
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Any, fields: Table) -> int:
    """Write a table, after what it refers to, and return its offset."""
    offsets = {slot: _offset(builder, value) for slot, value in fields.items() if not isinstance(value, np.generic)}
    builder.StartObject(max(fields) + 1)
    for slot, value in fields.items():
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        else:
            getattr(builder, f"Prepend{value.dtype.name.capitalize()}Slot")(slot, value.item(), 0)
    return int(builder.EndObject())


def _offset(builder: Any, value: str | Table | np.ndarray[Any, Any] | Sequence[Table]) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    offsets = [_table(builder, each) for each in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
