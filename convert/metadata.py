"""TFLite metadata: what a .tflite file says of itself to Netron, MediaPipe, Android Studio and `unzip -l`.

A flatbuffer of the public schema metadata_schema.fbs lies in the model as a buffer named TFLITE_METADATA, and the files
it names lie behind the model in a zip archive (https://ai.google.dev/edge/litert/models/metadata). The tables are
numbered here as that schema numbers their fields: the libraries that know them by name, tflite-support and mediapipe,
are no longer made for this Python or bring a second OpenCV.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fer_edge.edge.device.version import package_version
from fer_edge.edge.tflite.card import ModelCard
from fer_edge.edge.tflite.labels import LABELS_FILE
from fer_edge.edge.types import EMOTIONS

NAME = b"TFLITE_METADATA"
ABOUT = (
    "What expression a face shows: seven logits, whose softmax are the scores. How a face looks to people who labelled "
    "pictures, not what a person feels; in the European Union not for work or education (Regulation (EU) 2024/1689, "
    "Art. 5(1)(f))."
)

Table = Mapping[int, Any]
"""A table's fields by number: text, a numpy scalar, a table, or a sequence of tables or floats."""

TENSOR_AXIS_LABELS = np.int8(2)
IMAGE_PROPERTIES = np.uint8(2)
NORMALIZATION = np.uint8(1)
RGB, GRAYSCALE = np.int8(1), np.int8(2)


def labelled(content: bytes, name: str, licence: str = ModelCard.licence) -> bytes:
    """A .tflite file with its metadata and labels, in place of any it had; tensors and graph are as they were.

    The result is the same bytes for the same arguments.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    about = {2: [_image(graph.tensors[graph.inputs[0]])], 3: [_emotion()]}
    whole = {0: name, 1: ABOUT, 2: package_version(), 3: [about], 4: "fer-edge", 5: licence, 7: "1.0.0"}
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_flatbuffer(whole, b"M001"), np.uint8)
    known = {bytes(entry.name): entry for entry in model.metadata or []}
    if NAME in known:
        model.buffers[known[NAME].buffer] = buffer
    else:
        entry = schema.MetadataT()
        entry.name, entry.buffer = NAME, len(model.buffers)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO(builder.Output())
    with zipfile.ZipFile(file, "a") as archive:
        # ZipInfo is dated 1980: the same bytes every time
        archive.writestr(zipfile.ZipInfo(LABELS_FILE), "\n".join(EMOTIONS) + "\n")
    return file.getvalue()


def _image(image: Any) -> Table:
    """The table TensorMetadata of the input."""
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


def _emotion() -> Table:
    """The table TensorMetadata of the output."""
    labels = {0: LABELS_FILE, 1: "The classes in the order of the output.", 2: TENSOR_AXIS_LABELS, 3: "en"}
    return {0: "emotion", 1: f"One logit each for {', '.join(EMOTIONS)}; their softmax are the scores.", 6: [labels]}


def _flatbuffer(root: Table, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(2048)
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Any, fields: Table) -> int:
    """The table's offset. What it refers to is written first, as a flatbuffer wants it."""
    inside = {slot: _offset(builder, value) for slot, value in fields.items() if not isinstance(value, np.generic)}
    builder.StartObject(max(fields) + 1)
    for slot, value in fields.items():
        if slot in inside:
            builder.PrependUOffsetTRelativeSlot(slot, inside[slot], 0)
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
