"""A real int8 network with classes of one's own: the smallest shipped one with other rows in its last layer."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fer_edge.edge.tflite.card import read_card, sha256, write_card
from fer_edge.edge.tflite.labels import LABELS_FILE
from fer_edge.models import FOLDER

SMALL = FOLDER / "mobilenet_v2_small_int8.tflite"


def with_classes(folder: Path, classes: Sequence[str], name: str = "own") -> Path:
    """Write NAME.tflite and its card; class i has the logit that FER2013's class i modulo 7 had."""
    model = schema.ModelT.InitFromPackedBuf(SMALL.read_bytes(), 0)
    graph = model.subgraphs[0]
    (layer,) = [each for each in graph.operators if graph.outputs[0] in each.outputs]
    rows = np.arange(len(classes)) % 7
    _, weights, bias = (graph.tensors[index] for index in layer.inputs)
    _take_rows(model, weights, rows, np.int8)
    _take_rows(model, bias, rows, np.int32)
    graph.tensors[graph.outputs[0]].shape = [1, len(classes)]
    graph.tensors[graph.outputs[0]].shapeSignature = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / f"{name}.tflite"
    path.write_bytes(builder.Output())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS_FILE, "\n".join(classes) + "\n")
    write_card(path, replace(read_card(SMALL), name=name, sha256=sha256(path), labels=tuple(classes)))
    return path


def _take_rows(model: Any, tensor: Any, rows: np.ndarray, dtype: type) -> None:
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)[rows]
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.shape = list(values.shape)
    scales = tensor.quantization
    if len(scales.scale) > 1:
        scales.scale, scales.zeroPoint = scales.scale[rows], scales.zeroPoint[rows]
