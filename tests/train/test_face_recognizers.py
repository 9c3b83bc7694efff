"""Initial weights from face recognizers, written here in TensorFlow.js' format with random values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import network_input
from fer_edge.train import architectures
from fer_edge.train.face_recognizers import read
from fer_edge.train.weights import initialize

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(5)
FACES = RNG.integers(0, 256, (40, 48, 48), np.uint8)
SIDE = 64
DLIB = ["32_1", "32_2", "32_3", "64_down", "64_1", "64_2", "64_3", "128_down", "128_1", "128_2"]
DLIB += ["256_down", "256_1", "256_2", "256_down_out"]


def faceres(kernels: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    arrays: dict[str, NDArray[np.float32]] = {}
    for index, kernel in enumerate(kernels):
        depthwise = kernel.shape[-1] == 1
        name = "conv1" if index == 0 else f"conv_{'dw' if depthwise else 'pw'}_{(index + 1) // 2}"
        channels = kernel.shape[2] if depthwise else kernel.shape[3]
        arrays[f"{name}/depthwise_kernel" if depthwise else f"{name}/convolution/merged_input"] = kernel
        if depthwise:
            arrays[f"{name}_bn/batchnorm_1/mul"] = RNG.uniform(0.5, 2, channels)
        arrays[f"{name}_bn/batchnorm_1/sub"] = RNG.uniform(-1, 2, channels)
    return arrays


def dlib(kernels: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    names = ["conv32_down"] + [f"conv{block}/conv{index}" for block in DLIB for index in (1, 2)]
    arrays: dict[str, NDArray[np.float32]] = {}
    for name, kernel in zip(names, kernels, strict=True):
        arrays[f"{name}/conv/filters"] = kernel
        arrays |= {f"{name}/{part}": RNG.uniform(0.5, 1, kernel.shape[3]) for part in ("conv/bias", "scale/weights")}
        arrays[f"{name}/scale/biases"] = RNG.uniform(-1, 1, kernel.shape[3])
    return arrays


def write(folder: Path, arrays: dict[str, NDArray[Any]], model: bool) -> Path:
    """Kernels as bytes with a scale, the others in half precision or as they are."""
    content, weights = b"", []
    for index, (name, values) in enumerate(arrays.items()):
        about: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if values.ndim == 4:
            low, scale = float(values.min()), float(np.ptp(values)) / 255
            content += np.rint((values - low) / scale).astype(np.uint8).tobytes()
            about["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
        else:
            kind = ("float16", "float32")[index % 2]
            content += values.astype(kind).tobytes()
            about |= {"quantization": {"dtype": kind}} if kind == "float16" else {}
        weights.append(about)
    (folder / "part1.bin").write_bytes(content[:1000])
    (folder / "part2.bin").write_bytes(content[1000:])
    groups = [{"paths": ["part1.bin", "part2.bin"], "weights": weights}]
    path = folder / "weights.json"
    path.write_text(json.dumps({"weightsManifest": groups} if model else groups))
    return path


@pytest.mark.parametrize("name", ["mobilenet", "face_resnet"])
def test_a_recognizer_computes_the_same_function(name: str, tmp_path: Path) -> None:
    model = architectures.build(name, keras, SIDE, classes=2)
    layers = [each for each in model.layers if "conv" in type(each).__name__.lower()]
    kernels = [each.get_weights()[0] for each in layers]
    path = write(tmp_path, faceres(kernels) if name == "mobilenet" else dlib(kernels), model=name == "mobilenet")
    arrays, views = read(path), network_input(FACES[:4], SIDE)
    answers = []
    for faces in (FACES[:20], FACES[20:]):  # on whichever faces the statistics are measured
        initialize(name, model, str(path), keras, faces, ("a", "b"))
        inner = keras.Model(model.input, [layers[0].output, model.get_layer("head_pool").output])
        answers.append([np.asarray(each) for each in inner(views)])
        answers[-1][0] = np.asarray(model.get_layer("conv1_bn" if name == "mobilenet" else "stem_bn")(answers[-1][0]))
    assert np.allclose(answers[0][1], answers[1][1], atol=1e-3 * np.abs(answers[0][1]).max())

    if name == "mobilenet":
        kernel, scale, offset = arrays["conv1/convolution/merged_input"], 1.0, arrays["conv1_bn/batchnorm_1/sub"]
        pixels = (views + 1) * 127.5 - np.array([103.939, 116.779, 123.68])
    else:
        kernel, scale = arrays["conv32_down/conv/filters"], arrays["conv32_down/scale/weights"]
        offset = arrays["conv32_down/scale/biases"] + scale * arrays["conv32_down/conv/bias"]
        pixels = ((views + 1) * 127.5 - np.array([122.782, 117.001, 104.298])) / 256
    side = kernel.shape[0]
    first = (side - 2) // 2  # where "same" padding with stride 2 puts the kernel about output 0
    at = 2 * 10 - first
    expected = np.einsum("nhwc,hwcf->nf", pixels[:, at : at + side, at : at + side], kernel) * scale + offset
    assert np.allclose(answers[0][0][:, 10, 10], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_facenet_computes_the_same_function(tmp_path: Path) -> None:
    name, side, faces = "inception_resnet_v1", 75, np.repeat(FACES[:1], 2, axis=0)  # one picture's statistics
    model = architectures.build(name, keras, side, classes=2)
    for layer in model.layers:
        if "BatchNorm" in layer.name:
            layer.set_weights([RNG.uniform(0.2, 1, value.shape) for value in layer.get_weights()])
    deep = keras.Model(model.input, model.get_layer("Block35_5_Activation").output)
    views = network_input(faces[:1], side)
    theirs = np.asarray(deep(((views + 1) * 127.5 - faces.mean()) / faces.std()))

    path = tmp_path / "facenet.h5"
    model.save(path)
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    initialize(name, model, str(path), keras, faces, ("a", "b"))
    assert np.allclose(deep(views), theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    with pytest.raises(ModelError, match="holds 0 of the"):
        initialize(name, model, str(path), keras, faces, ("a", "b"))


def test_other_files_and_networks_are_one_line(tmp_path: Path) -> None:
    model = architectures.build("face_resnet", keras, SIDE, classes=2)
    damaged, strange = tmp_path / "damaged.json", tmp_path / "strange.json"
    damaged.write_text('[{"paths": ["missing.bin"], "weights": []}]')
    strange.write_text('{"weightsManifest": []}')
    for name, path in (("face_resnet", damaged), ("face_resnet", strange), ("vgg", strange)):
        with pytest.raises(ModelError) as caught:
            initialize(name, model, str(path), keras, FACES, ("a", "b"))
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
