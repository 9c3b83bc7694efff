"""Initial weights: ImageNet's, a file's or a larger network's; and weights in half precision (.npz)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.files.writing import atomic_path
from fer_edge.edge.preprocess import network_input
from fer_edge.train import architectures, keras_applications
from fer_edge.train import face_recognizers as recognizer
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.class_order import named
from fer_edge.train.own_architectures import own_architecture
from fer_edge.train.pruning import prune
from fer_edge.train.stored_classes import checked_classes

_logger = logging.getLogger(__name__)

PRUNING_FACES = 256
"""Faces that the blocks of a pruned network are fitted on."""


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """A network's weights as a file holds them.

    Attributes:
        architecture: The network's name.
        classes: (C,) names of its classes, in the order of its outputs.
        values: The weights in layer order, as float32.
    """

    architecture: str
    classes: tuple[str, ...]
    values: list[NDArray[np.float32]]


def check_weights(name: str, weights: str) -> None:
    """Check initial weights before any work.

    Args:
        name: The network.
        weights: 'imagenet', 'none' or a file, as `initialize` takes it.

    Raises:
        ModelError: The file is missing, or the network cannot start from such weights.
    """
    path, own = Path(weights), own_architecture(name)
    if own and own.weights and path == own.weights:
        return
    larger = _pruned_from(name)
    backbone = larger or name
    files = [f"a .npz that training wrote{f', of {larger} too' if larger else ''}"]
    files += [recognizer.FILES[name]] if name in recognizer.FILES else []
    files += ["a .weights.h5 of its backbone", "imagenet"] if backbone in keras_applications.BACKBONES else []
    expected = f"expected none, {' or '.join(files)}"
    if weights == "none":
        return
    if weights != "imagenet" and not path.is_file():
        raise ModelError(f"--weights {weights}: no such file; {expected}")
    if path.suffix == ".npz":
        stored = read_half(path).architecture
        if stored not in (name, larger):
            either = f"{name} or {larger}" if larger else name
            raise ModelError(f"--weights {weights} holds the weights of {stored}; expected those of {either}")
    elif path.suffix == ".keras" or path.name == "float.h5":  # its trained head would not be loaded
        raise ModelError(f"--weights {weights} is a whole model; use the float.npz beside it")
    elif not recognizer.fits(name, weights) and (
        backbone not in keras_applications.BACKBONES or path.suffix == ".json"
    ):
        raise ModelError(f"--weights {weights} does not fit {name}; {expected}")


def initialize(
    name: str, model: Any, weights: str, keras: Any, faces: NDArray[np.uint8], classes: tuple[str, ...]
) -> None:
    """Set a new network's weights.

    Args:
        name: The network.
        model: The Keras model, with random weights.
        weights: 'imagenet', 'none', or a file: a Keras 3 `.weights.h5` of keras.applications' backbone
            (include_top=False), weights that `save_half` wrote (.npz), or a face recognizer's file. A network that is
            pruned from a larger one takes the larger one's weights, or its own; one that comes from a Keras file that
            file's.
        keras: The Keras module of the model.
        faces: (N, 48, 48) uint8, to which a face recognizer's statistics are adapted, or pruned blocks are fitted.
        classes: (C,) names of the model's classes.

    Raises:
        ModelError: The weights do not fit.
    """
    check_weights(name, weights)
    if weights == "none":
        return
    own = own_architecture(name)
    if own and own.weights and Path(weights) == own.weights:
        own.initialize(model)
        return
    larger = _pruned_from(name)
    if larger and not (weights.endswith(".npz") and read_half(Path(weights)).architecture == name):
        side = int(model.input_shape[1])
        original = architectures.build(larger, keras, side, classes=len(classes))
        initialize(larger, original, weights, keras, faces, classes)
        sample = faces[np.random.default_rng(1).permutation(len(faces))[:PRUNING_FACES]]
        prune(model, original, network_input(sample, side))
        return
    if weights.endswith(".npz"):
        load_half(model, Path(weights), classes)
        return
    if recognizer.fits(name, weights):
        recognizer.initialize(name, model, Path(weights), faces, keras)
        return
    keras_applications.initialize(name, model, weights, keras)


def _pruned_from(name: str) -> str | None:
    """The larger network whose weights a network starts from, by pruning; None for most."""
    return getattr(architectures.architecture(name), "PRUNED_FROM", None)


def save_half(model: Any, path: Path, classes: tuple[str, ...]) -> None:
    """Write a Keras model's weights in half precision, in layer order (.npz).

    Args:
        model: The model, whose name is that of the network.
        path: The file.
        classes: (C,) names of its classes.

    Raises:
        SinkError: The file cannot be written.
    """
    arrays: dict[str, Any] = {
        f"{index:04d}": _to_half(np.asarray(value)) for index, value in enumerate(model.get_weights())
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, architecture=np.array(model.name), classes=np.array(classes), **arrays)


def _to_half(value: NDArray[Any]) -> NDArray[Any]:
    """Half precision, but for vectors with values beyond its range, as batch norm statistics can have."""
    half = value.astype(np.float16)
    fits = np.isfinite(half) & ((half != 0) | (value == 0))
    return half if value.ndim > 1 or bool(np.all(fits)) else value


def load_half(model: Any, path: Path, classes: tuple[str, ...]) -> None:
    """Load what save_half wrote into the same network, of any input size, in Keras 3 or tf_keras; ModelError.

    For other classes the last layer, which is logged, stays as it is; for the same ones in another order it is brought
    into that.
    """
    stored = read_half(path)
    values, current = stored.values, model.get_weights()
    if set(stored.classes) != set(classes):
        _logger.info(f"{path.name} knows {named(stored.classes)}; the last layer begins anew for {named(classes)}")
        values = [*values[:-2], *current[-2:]]
    elif stored.classes != classes:
        order = [stored.classes.index(name) for name in classes]
        values = [*values[:-2], *(value[..., order] for value in values[-2:])]
    if [value.shape for value in values] != [tuple(value.shape) for value in current]:
        raise ModelError(f"{path} holds the weights of {stored.architecture}; expected those of {model.name}")
    model.set_weights(values)


def assemble(stored: StoredWeights, path: Path, keras: Any, side: int | None = None) -> Any:
    """Build a network with weights.

    Args:
        stored: The network's name, classes and weights.
        path: Where they were read from, for the error message.
        keras: The Keras module to build with, Keras 3 or tf_keras.
        side: Side of the input in pixels; the network's own where None.

    Raises:
        ModelError: The weights are not this network's.
    """
    model = architectures.build(stored.architecture, keras, side, classes=len(stored.classes))
    if [value.shape for value in stored.values] != [tuple(value.shape) for value in model.get_weights()]:
        raise ModelError(
            f"{path} does not hold the weights of {stored.architecture}; expected what 'fer-edge train' leaves"
        )
    model.set_weights(stored.values)
    return model


def read_half(path: Path) -> StoredWeights:
    """Read what save_half wrote; weights of before it stored classes are for FER2013's seven, as the shipped ones are.

    Raises:
        ModelError: The file is missing, damaged, or something else.
    """
    expected = "a .npz that training wrote"
    arrays = read_arrays(path, expected)
    names = sorted(name for name in arrays if name.isdigit())
    if "architecture" not in arrays or not names or any(arrays[name].dtype.kind != "f" for name in names):
        raise ModelError(f"{path} holds no network's weights; expected {expected}")
    values = [arrays[name].astype(np.float32) for name in names]
    check_finite(values, path)
    classes = tuple(map(str, arrays["classes"].ravel())) if "classes" in arrays else None
    return StoredWeights(str(arrays["architecture"]), checked_classes(path, classes, values[-1].size), values)


def check_finite(values: Iterable[NDArray[Any]], path: Path) -> None:
    """Raise ModelError where a weight is no number, as those of a training that diverged are."""
    if not all(np.isfinite(value).all() for value in values if value.dtype.kind == "f"):
        raise ModelError(f"{path} holds weights that are no numbers; train the network again with a lower rate")
