"""ONNX from a .tflite file, for onnxruntime: the same integers and weights, float32 at both ends.

tf2onnx makes of every int8 tensor the pair QuantizeLinear and DequantizeLinear ("QDQ"), of which onnxruntime makes int8
kernels again. They round in other places than TFLite's own, as TFLite's differ among themselves, so the answers are
compared before anything is written.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tf2onnx.convert
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.tflite.interpreter import Tensor, open_interpreter
from fer_edge.edge.types import EMOTIONS

IMAGE, LOGITS = "image", "logits"


@dataclass(frozen=True)
class Limits:
    """How far ONNX may be from TFLite. agreement: least share of equal top-1 answers; difference: most of a score."""

    agreement: float
    difference: float


FLOAT = Limits(0.998, 0.001)
INTEGER = Limits(0.9, 0.25)
"""TFLite's own two int8 kernels differ in 2 % of the answers and by up to 0.13 in a score."""


def onnx_bytes(model: Path, licence: str) -> bytes:
    """The ONNX file of a .tflite file; ModelError where tf2onnx cannot make one.

    Input 'image', (1, S, S, C) float32 in [-1, 1] as the .tflite file's; output 'logits', (1, 7) float32. Labels, range
    and licence are in its metadata.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # tf.lite.Interpreter's farewell
            proto, _ = tf2onnx.convert.from_tflite(str(model))
        tensors = open_interpreter(model)
        _name_ends(proto.graph, tensors.inputs[0], tensors.outputs[0])
        onnx.helper.set_model_props(proto, _properties(tensors.inputs[0], licence))
        onnx.checker.check_model(proto, full_check=True)
    except ModelError:
        raise
    except Exception as error:  # tf2onnx raises whatever its handlers do, onnx ValidationError and InferenceError
        what = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"{model} cannot be made ONNX by tf2onnx: {what}; no ONNX file was written") from None
    return bytes(proto.SerializeToString())


def _properties(image: Tensor, licence: str) -> dict[str, str]:
    """Metadata; the keys with a dot or 'model_' are those of ONNX's own documents (MetadataProps.md, IR.md)."""
    return {
        "labels": ",".join(EMOTIONS),
        "input": "one upright face, gray / 127.5 - 1" + (", the same in all channels" if image.shape[3] > 1 else ""),
        "input_range": "-1,1",
        "output": "logits; their softmax are the scores",
        "Image.NominalPixelRange": "Normalized_1_1",
        "model_author": "fer-edge",
        "model_license": licence,
    }


def _name_ends(graph: onnx.GraphProto, image: Tensor, logits: Tensor) -> None:
    """Call input and output 'image' and 'logits', and make them float32 where they are integers."""
    (first,), (last,) = graph.input, graph.output
    inner = {first.name: IMAGE, last.name: LOGITS}
    if image.scale:
        inner = {name: f"{new}_int8" for name, new in inner.items()}
        before = _between("QuantizeLinear", IMAGE, inner[first.name], image)
        after = _between("DequantizeLinear", inner[last.name], LOGITS, logits)
        graph.initializer.extend(before[1] + after[1])
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    if image.scale:
        graph.node.insert(0, before[0])
        graph.node.append(after[0])
    for end, name in ((first, IMAGE), (last, LOGITS)):
        end.name = name
        end.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _between(kind: str, source: str, target: str, tensor: Tensor) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """A QuantizeLinear or DequantizeLinear with a tensor's scale and zero point."""
    scale, zero = f"{target}_scale", f"{target}_zero_point"
    values = [(np.float32(tensor.scale), scale), (tensor.dtype.type(tensor.zero_point), zero)]
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for value, name in values]
    return onnx.helper.make_node(kind, [source, scale, zero], [target]), constants


def onnx_logits(content: bytes, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 faces to (N, 7) logits in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of no common class but this
        what = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"onnxruntime refused the ONNX file: {what}; none was written") from None
    _, side, _, channels = session.get_inputs()[0].shape
    logits = [session.run([LOGITS], {IMAGE: network_input(face[None], side, channels)})[0][0] for face in faces]
    return np.asarray(logits, np.float32)


def check(content: bytes, model: Path, faces: NDArray[np.uint8], limits: Limits | None = None) -> dict[str, Any]:
    """The card's entry on an ONNX file, beside its .tflite file on (N, 48, 48) uint8 faces.

    agreement: share of equal top-1 answers, 0..1. largest_difference: of a score. Raises ModelError outside the limits.
    """
    classifier = TFLiteClassifier(model)
    expected, found = classifier.logits(faces), onnx_logits(content, faces)
    agreement = float(np.mean(expected.argmax(axis=1) == found.argmax(axis=1)))
    difference = float(np.abs(softmax(expected) - softmax(found)).max())
    limits = limits or (INTEGER if classifier.output_step else FLOAT)
    if not (agreement >= limits.agreement and difference <= limits.difference):
        raise ModelError(
            f"as ONNX, {model.stem} answers as {model.name} on {100 * agreement:.1f} % of {len(faces)} faces, scores "
            f"differ by {difference:.3f}; expected {100 * limits.agreement:.1f} % and at most {limits.difference:g}; "
            "no ONNX file was written"
        )
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "pictures": len(faces),
        "agreement": round(agreement, 5),
        "largest_difference": round(difference, 5),
        "versions": {name: version(name) for name in ("tf2onnx", "onnx", "onnxruntime")},
    }
