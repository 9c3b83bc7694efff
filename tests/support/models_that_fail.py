"""Writes the .tflite files of tests/support/files/models: they crash the runtime, never end, or give no numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

OPERATOR, KIND, OPTIONS = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions
PICTURE = [1, 48, 48, 1]


def tensor(name: str, shape: list[int], kind: int, buffer: int = 0, scales: int = 0) -> Any:
    """A tensor; a quantized one has that many scales along its last axis."""
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
    if scales:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [0.01] * scales, [0] * scales
        made.quantization.quantizedDimension = 3 if scales > 1 else 0
    return made


def operator(code: int, inputs: list[int], output: int, options: str = "", **values: int) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
    if options:
        made.builtinOptionsType = getattr(OPTIONS, options)
        made.builtinOptions = getattr(schema, f"{options}T")()
        vars(made.builtinOptions).update(values)
    return made


def graph(name: str, tensors: list[Any], inputs: list[int], output: int, operators: list[Any]) -> Any:
    made = schema.SubGraphT()
    made.name, made.tensors, made.inputs, made.outputs, made.operators = name, tensors, inputs, [output], operators
    return made


def model(codes: list[tuple[int, int]], graphs: list[Any], *contents: bytes) -> bytes:
    """A file of operators by code and version, graphs, and the contents of the buffers from 1 on."""
    made = schema.ModelT()
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [], graphs, [schema.BufferT()]
    for code, version in codes:
        made.operatorCodes.append(schema.OperatorCodeT())
        own = made.operatorCodes[-1]
        own.builtinCode, own.deprecatedBuiltinCode, own.version = code, min(code, 127), version
    for content in contents:
        made.buffers.append(schema.BufferT())
        made.buffers[-1].data = [*content]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def integers(*values: int) -> bytes:
    return np.array(values, np.int32).tobytes()


def damaged() -> bytes:
    tensors = [
        tensor("pixels", PICTURE, KIND.INT8, scales=1),
        tensor("logits", [*PICTURE[:3], 7], KIND.INT8, scales=1),
        tensor("kernel", [1, 3, 3, 7], KIND.INT8, 1, scales=7),
    ]
    strides = {"strideW": 1, "strideH": 1, "depthMultiplier": 7, "dilationWFactor": 1, "dilationHFactor": 1}
    convolution = operator(0, [0, 2], 1, "DepthwiseConv2DOptions", **strides)  # [0, 2, bias] is whole
    return model([(OPERATOR.DEPTHWISE_CONV_2D, 3)], [graph("main", tensors, [0], 1, [convolution])], bytes(range(63)))


def endless() -> bytes:
    pictures = [tensor(name, PICTURE, KIND.FLOAT32) for name in ("pixels", "out")]
    loop = operator(0, [0], 1, "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    condition = graph("condition", [pictures[0], tensor("true", [], KIND.BOOL, 1)], [0], 1, [])
    body = graph("body", pictures, [0], 1, [operator(1, [0], 1)])
    main = graph("main", pictures, [0], 1, [loop])
    return model([(OPERATOR.WHILE, 1), (OPERATOR.ABS, 1)], [main, condition, body], b"\1")


def gigabytes() -> bytes:
    shape = [40000, 40000, 7]
    tensors = [
        tensor("shape", [3], KIND.INT32, 1),
        tensor("value", [], KIND.FLOAT32),
        tensor("out", shape, KIND.FLOAT32),
    ]
    return model(
        [(OPERATOR.FILL, 1)],
        [graph("main", tensors, [1], 2, [operator(0, [0, 1], 2, "FillOptions")])],
        integers(*shape),
    )


def nan() -> bytes:
    tensors = [
        tensor("pixels", PICTURE, KIND.FLOAT32),
        tensor("axes", [2], KIND.INT32, 1),
        tensor("mean", [1, 1], KIND.FLOAT32),
        tensor("times", [2], KIND.INT32, 2),
        tensor("means", [1, 7], KIND.FLOAT32),
        tensor("positive", [1, 7], KIND.FLOAT32),
        tensor("negative", [1, 7], KIND.FLOAT32),
        tensor("logits", [1, 7], KIND.FLOAT32),
    ]
    operators = [operator(0, [0, 1], 2, "ReducerOptions"), operator(1, [2, 3], 4, "TileOptions")]
    operators += [operator(code, [code + 2], code + 3) for code in (2, 3, 4)]
    codes = [(each, 1) for each in (OPERATOR.MEAN, OPERATOR.TILE, OPERATOR.ABS, OPERATOR.NEG, OPERATOR.LOG)]
    return model(codes, [graph("main", tensors, [0], 7, operators)], integers(1, 2), integers(1, 7))


if __name__ == "__main__":
    for make in (damaged, endless, gigabytes, nan):
        (Path(sys.argv[1]) / f"{make.__name__}.tflite").write_bytes(make())
