"""ONNX files for onnxruntime, made from .tflite files: the same integers and weights, float32 input and output.

tf2onnx turns every int8 tensor into a QuantizeLinear and DequantizeLinear pair ("QDQ"), from which onnxruntime makes
int8 kernels again. They round in other places than TFLite's kernels (as TFLite's differ among themselves), so the
answers are compared before anything is written.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import tf2onnx.convert
from numpy.typing import NDArray

from fer_edge.convert.metadata import own_card
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import FACE_SIZE, network_input
from fer_edge.edge.tflite.card import UNKNOWN, card_path, write_card
from fer_edge.edge.tflite.interpreter import Tensor, open_interpreter

IMAGE, LOGITS = "image", "logits"


@dataclass(frozen=True)
class Tolerance:
    """How far an ONNX file's answers may be from the .tflite file's.

    Attributes:
        min_agreement: Smallest share of equal top-1 answers, 0..1.
        max_difference: Largest difference of a score, 0..1.
    """

    min_agreement: float
    max_difference: float


FLOAT_TOLERANCE = Tolerance(0.998, 0.001)
INT8_TOLERANCE = Tolerance(0.9, 0.25)
"""TFLite's own two int8 kernels differ in 2 % of the answers and by up to 0.13 in a score."""


def export_onnx(model: Path, faces: NDArray[np.uint8], out: Path) -> tuple[Path, dict[str, Any]]:
    """Make an ONNX file from a .tflite file, verify it, write it and record it in the card.

    The card is left alone if the ONNX file goes to another folder.

    Args:
        model: The .tflite file of a classifier.
        faces: (N, 48, 48) uint8 faces to compare the two files on.
        out: The folder for the ONNX file.

    Returns:
        The ONNX file's path and its entry in the card, see `compare`.

    Raises:
        ModelError: The file is no classifier, differs from its card, cannot be made ONNX, or answers differently.
    """
    card = own_card(model) if card_path(model).exists() else None
    classifier = TFLiteClassifier(model, classes=card.labels if card else None)
    content = onnx_bytes(model, classifier.classes, card.licence if card else UNKNOWN)
    path = out / f"{model.stem}.onnx"
    entry = {"file": path.name, **compare(content, classifier, faces)}
    write_bytes(path, content)
    if card and out.resolve() == model.parent.resolve():
        write_card(model, replace(card, conversion=card.conversion | {"onnx": entry}))
    return path, entry


def onnx_bytes(model: Path, classes: Sequence[str], licence: str) -> bytes:
    """Convert a .tflite file to ONNX.

    Args:
        model: The .tflite file.
        classes: (C,) names of its classes, for the metadata.
        licence: The licence for the metadata.

    Returns:
        The ONNX file: input `image`, (1, S, S, C) float32 in [-1, 1]; output `logits`, (1, C) float32; labels, input
        range and licence in the metadata.

    Raises:
        ModelError: tf2onnx cannot convert the file.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # tf.lite.Interpreter's deprecation notice
            proto, _ = tf2onnx.convert.from_tflite(str(model))
        interpreter = open_interpreter(model)
        _name_tensors(proto.graph, interpreter.inputs[0], interpreter.outputs[0])
        onnx.helper.set_model_props(proto, _properties(interpreter.inputs[0], classes, licence))
        onnx.checker.check_model(proto, full_check=True)
    except ModelError:
        raise
    except Exception as error:  # tf2onnx raises whatever its handlers do, onnx ValidationError and InferenceError
        raise ModelError(f"tf2onnx cannot convert {model}: {_reason(error)}; no ONNX file was written") from None
    return bytes(proto.SerializeToString())


def _properties(image: Tensor, classes: Sequence[str], licence: str) -> dict[str, str]:
    """The metadata; keys with a dot or `model_` are from ONNX's own documents (MetadataProps.md, IR.md)."""
    return {
        "labels": ",".join(classes),
        "input": "one upright face, gray / 127.5 - 1" + (", the same in all channels" if image.shape[3] > 1 else ""),
        "input_range": "-1,1",
        "output": "logits; their softmax are the scores",
        "Image.NominalPixelRange": "Normalized_1_1",
        "model_author": "fer-edge",
        "model_license": licence,
    }


def _name_tensors(graph: onnx.GraphProto, image: Tensor, logits: Tensor) -> None:
    """Name input and output `image` and `logits`, and make them float32 where they are integers."""
    (first,), (last,) = graph.input, graph.output
    names = {first.name: IMAGE, last.name: LOGITS}
    if image.scale:
        names = {old: f"{new}_int8" for old, new in names.items()}
        before, before_constants = _scaling_node("QuantizeLinear", IMAGE, names[first.name], image)
        after, after_constants = _scaling_node("DequantizeLinear", names[last.name], LOGITS, logits)
        graph.initializer.extend(before_constants + after_constants)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    if image.scale:
        graph.node.insert(0, before)
        graph.node.append(after)
    for tensor, name in ((first, IMAGE), (last, LOGITS)):
        tensor.name = name
        tensor.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _scaling_node(kind: str, source: str, target: str, tensor: Tensor) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """A QuantizeLinear or DequantizeLinear node with a tensor's scale and zero point, and these two constants."""
    scale, zero = f"{target}_scale", f"{target}_zero_point"
    values = [(np.float32(tensor.scale), scale), (tensor.dtype.type(tensor.zero_point), zero)]
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for value, name in values]
    return onnx.helper.make_node(kind, [source, scale, zero], [target]), constants


def onnx_logits(content: bytes, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run an ONNX file in onnxruntime.

    Args:
        content: The ONNX file.
        faces: (N, 48, 48) uint8 gray faces.

    Returns:
        (N, C) float32 logits.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other class in common
        raise ModelError(f"onnxruntime cannot load the ONNX file: {_reason(error)}; none was written") from None
    _, side, _, channels = session.get_inputs()[0].shape
    logits = [session.run([LOGITS], {IMAGE: network_input(face[None], side, channels)})[0][0] for face in faces]
    return np.asarray(logits, np.float32)


def compare(content: bytes, classifier: TFLiteClassifier, faces: NDArray[np.uint8]) -> dict[str, Any]:
    """Compare an ONNX file's answers with the .tflite file's.

    Args:
        content: The ONNX file.
        classifier: The .tflite file that it was made from.
        faces: (N, 48, 48) uint8 faces to compare on.

    Returns:
        The card's entry: sha256, size, share of equal top-1 answers (`agreement`, 0..1), largest difference of a score
        (`largest_difference`, 0..1) and versions.

    Raises:
        ModelError: The answers differ by more than FLOAT_TOLERANCE or INT8_TOLERANCE.
    """
    model = classifier.path
    expected, logits = classifier.logits(faces), onnx_logits(content, faces)
    agreement = float(np.mean(expected.argmax(axis=1) == logits.argmax(axis=1)))
    difference = float(np.abs(softmax(expected) - softmax(logits)).max())
    tolerance = INT8_TOLERANCE if classifier.output_step else FLOAT_TOLERANCE
    if not (agreement >= tolerance.min_agreement and difference <= tolerance.max_difference):  # nan is refused too
        raise ModelError(
            f"{model.stem}.onnx agrees with {model.name} on {100 * agreement:.1f} % of {len(faces)} faces, with scores "
            f"up to {difference:.3f} apart; expected at least {100 * tolerance.min_agreement:.1f} % and at most "
            f"{tolerance.max_difference:g}; no ONNX file was written"
        )
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "pictures": len(faces),
        "agreement": round(agreement, 5),
        "largest_difference": round(difference, 5),
        "versions": {name: version(name) for name in ("tf2onnx", "onnx", "onnxruntime")},
    }


def synthetic_faces(count: int = 100) -> NDArray[np.uint8]:
    """(count, 48, 48) uint8 smooth random patterns, to compare two files on without a data set."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 6, 6), np.uint8)
    return np.stack([cv2.resize(each, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC) for each in coarse])


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
