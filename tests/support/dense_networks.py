"""Small .tflite classifiers as other tools than fer-edge make them: one dense layer, then a softmax or a sigmoid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from models_that_fail import KIND, OPERATOR, graph, model, operator, tensor

ENDINGS = {"softmax": OPERATOR.SOFTMAX, "sigmoid": OPERATOR.LOGISTIC}


def dense_network(
    weights: np.ndarray,
    kind: str = "float32",
    scale: float = 0.0,
    zero: int = 0,
    ending: str = "softmax",
    shape: tuple[int, ...] = (),
) -> bytes:
    """A .tflite file.

    Args:
        weights: (C, H, W, 1 or 3) float, for inputs (1, H, W, 1 or 3).
        kind: dtype of input and output; float32, uint8 or int8.
        scale: Of the input.
        zero: Its zero point.
        ending: "softmax", "sigmoid", or "logits" for none.
        shape: Of the output of a float32 network; (1, C) where empty.
    """
    code, count = getattr(KIND, kind.upper()), len(weights)
    flat, middle = weights.reshape(count, -1).astype(np.float32), 128 if kind == "uint8" else 0
    own = float(np.abs(flat).max()) / 127
    stored = flat if kind == "float32" else (np.rint(flat / own) + middle).astype(kind)
    tensors = [
        quantized("image", [1, *weights.shape[1:]], code, scale, zero),
        quantized("weights", [*flat.shape], code, own if scale else 0.0, middle, buffer=1),
        quantized("logits", [1, count], code, 0.1 if scale else 0.0, middle),
    ]
    operators = [operator(0, [0, 1, -1], 2, "FullyConnectedOptions")]
    codes = [(OPERATOR.FULLY_CONNECTED, 4 if kind == "int8" else 1)]
    if ending != "logits":
        lowest = -128 if kind == "int8" else 0
        tensors.append(quantized("scores", [1, count], code, 1 / 256 if scale else 0.0, lowest))
        options: dict[str, Any] = {"options": "SoftmaxOptions", "beta": 1.0} if ending == "softmax" else {}
        operators.append(operator(1, [2], 3, **options))
        codes.append((ENDINGS[ending], 2 if kind == "int8" else 1))
    if shape:
        tensors += [tensor("shape", [len(shape)], KIND.INT32, 2), tensor("out", list(shape), KIND.FLOAT32)]
        operators.append(operator(len(codes), [len(tensors) - 3, len(tensors) - 2], len(tensors) - 1))
        codes.append((OPERATOR.RESHAPE, 1))
    contents = [stored.tobytes(), np.array(shape, np.int32).tobytes()][: 2 if shape else 1]
    return model(codes, [graph("main", tensors, [0], len(tensors) - 1, operators)], *contents)


def quantized(name: str, shape: list[int], kind: int, scale: float, zero: int, buffer: int = 0) -> Any:
    """A tensor with a scale and a zero point; without a scale, one of floats."""
    made = tensor(name, shape, kind, buffer, scales=1 if scale else 0)
    if scale:
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
    return made


def stripes(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """(count, *shape) weights that tell apart pictures with a bright stripe at a height of the class's own."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.1, (count, *shape))
    rows = np.arange(shape[0]) * count // shape[0]
    weights += np.where(rows == np.arange(count)[:, None], 1.0, -1.0 / count)[:, :, None, None]
    return np.asarray(weights * 8 / np.prod(shape), np.float32)


def plain_answers(path: Path, inputs: np.ndarray) -> np.ndarray:
    """What the runtime answers to each of (N, H, W, C) inputs of the network's own dtype: (N, outputs) real values."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for each in inputs:
        interpreter.set_tensor(first["index"], each[None].astype(first["dtype"]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(last["index"]).ravel())
    scale, zero = last["quantization"]
    return (np.float32(answers) - zero) * np.float32(scale) if scale else np.float32(answers)
