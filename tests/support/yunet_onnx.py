"""YuNet's ONNX file made anew from the shipped int8 file, so that tests of its conversion need no download."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fer_edge.convert.face_detector.weights import Pair
from fer_edge.edge.faces.face_models import FACE_FOLDER, YUNET

KINDS = (("cls", 0, 1), ("bbox", 2, 6), ("obj", 1, 2), ("kps", 6, 16))
"""The original's heads in the order of its graph, with their channels in the merged head."""


def yunet_onnx() -> bytes:
    """An ONNX file with the original's graph and, up to rounding, its weights."""
    (stem, stem_bias), pairs = _rounded_weights()
    graph = _Graph()
    value = graph.add("Relu", graph.convolution("input", stem.transpose(3, 2, 0, 1), stem_bias, strides=[2, 2]))
    kept = {}
    for index in range(11):
        value = kept[index] = graph.unit(value, pairs[index])
        if index in (0, 4, 6, 8):
            value = graph.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    coarse = graph.unit(value, pairs[11])
    middle = graph.unit(graph.add("Add", kept[8], graph.doubled(coarse)), pairs[12])
    fine = graph.unit(graph.add("Add", kept[6], graph.doubled(middle)), pairs[13])
    for kind, start, end in KINDS:
        for index, feature in enumerate((fine, middle, coarse)):
            head = Pair(*(part[..., start:end] for part in vars(pairs[14 + index]).values()))
            rows = graph.add("Transpose", graph.pair(feature, head), perm=[0, 2, 3, 1])
            shape = graph.constant(np.array([1, -1, end - start], np.int64))
            name = f"{kind}_{8 * 2**index}"
            if kind in ("cls", "obj"):
                graph.add("Sigmoid", graph.add("Reshape", rows, shape), output=name)
            else:
                graph.add("Reshape", rows, shape, output=name)
            graph.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 6400 // 4**index, None]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "yunet", [picture], graph.outputs, graph.tensors),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=6,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Graph:
    """An ONNX graph to which nodes are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.outputs: list[Any] = []

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        self.tensors.append(numpy_helper.from_array(values, f"tensor{len(self.tensors)}"))
        return str(self.tensors[-1].name)

    def convolution(self, value: str, kernel: Any, bias: Any, **attributes: Any) -> str:
        names = [self.constant(np.asarray(each, np.float32)) for each in (kernel, bias)]
        padding = [kernel.shape[2] // 2] * 4
        return self.add("Conv", value, *names, pads=padding, **attributes)

    def pair(self, value: str, pair: Pair) -> str:
        hidden = self.convolution(value, pair.pointwise.T[:, :, None, None], pair.hidden_bias)
        kernel = pair.depthwise.transpose(2, 0, 1)[:, None]
        return self.convolution(hidden, kernel, pair.bias, group=len(kernel))

    def unit(self, value: str, pair: Pair) -> str:
        return self.add("Relu", self.pair(value, pair))

    def doubled(self, value: str) -> str:
        empty, scales = self.constant(np.zeros(0, np.float32)), self.constant(np.array([1, 1, 2, 2], np.float32))
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", value, empty, scales, **mode)


def _rounded_weights() -> tuple[tuple[Any, Any], list[Pair]]:
    """The shipped file's first convolution, and its pairs: units, then heads with real outputs."""
    model = schema.ModelT.InitFromPackedBuf((FACE_FOLDER / YUNET).read_bytes(), 0)
    graph = model.subgraphs[0]

    def values(index: int) -> Any:
        tensor = graph.tensors[index]
        kind = np.int32 if tensor.type == schema.TensorType.INT32 else np.int8
        integers = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
        shape = [1] * integers.ndim
        shape[tensor.quantization.quantizedDimension] = -1
        return integers * np.reshape(tensor.quantization.scale, shape).astype(np.float64)

    layers, heads = [], {}
    target = layers
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D):
            continue
        kernel = values(operator.inputs[1])
        if code == schema.BuiltinOperator.CONV_2D:  # only heads have 16 channels of 64
            columns = int(graph.tensors[operator.outputs[0]].shape[2])
            target = heads.setdefault(columns, []) if kernel.shape == (16, 1, 1, 64) else layers
        target.append((kernel, values(operator.inputs[2])))
    ordered = layers[1:] + [layer for columns in sorted(heads, reverse=True) for layer in heads[columns]]
    pairs = [
        Pair(pointwise[:, 0, 0].T, hidden_bias, depthwise[0], bias)
        for (pointwise, hidden_bias), (depthwise, bias) in zip(ordered[::2], ordered[1::2], strict=True)
    ]
    outputs = json.loads((FACE_FOLDER / "faces.json").read_text("utf-8"))[YUNET]["outputs"]
    low, high = np.array(outputs["low"], float), np.array(outputs["high"], float)
    half, middle = (high - low) / 2, (high + low) / 2
    pairs[14:] = [pair.with_output_scale(half, middle) for pair in pairs[14:]]
    stem, stem_bias = layers[0]
    return (stem.transpose(1, 2, 3, 0), stem_bias), pairs
