"""Networks of a user's own: a Python file with a function `build`, or the graph of a Keras model.

While one is registered, the rest of the package finds it by its name like those of `train.architectures`. A run folder
keeps a copy, architecture.py or architecture.json, from which evaluation and conversion build the network again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.files.documents import read_json, read_limited
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.keras_graphs import (
    PROBABILITIES,
    check_shapes,
    final_activation,
    load_keras,
    network_name,
    with_head,
    with_logits,
)
from fer_edge.train.stored_classes import read_classes
from fer_edge.train.user_modules import MAX_BYTES, load_module, user_error

PYTHON_FILE, GRAPH_FILE = "architecture.py", "architecture.json"
"""The copy in a run folder: of a Python file, or of a Keras model's graph."""

SIDES = (8, 512)
"""Sides of the input, pixels, that a file without SIZES is built for."""

_logger = logging.getLogger(__name__)

Built = Callable[[int, int], Any]


@dataclass(frozen=True, eq=False)
class OwnArchitecture:
    """An architecture that is not one of the package's; its capital attributes are those of their modules.

    Attributes:
        NAME: The network's name.
        SIZE: Side of the input, pixels.
        SIZES: The smallest and the largest side that it is built for.
        TOP_FROM: First layer of the top blocks; None where the phase 'top' trains every layer.
        file: PYTHON_FILE or GRAPH_FILE.
        content: What is kept in the run folder under that name.
        source: Where it comes from, for error messages.
        make: Builds the Keras model for a side and a number of classes.
        weights: The Keras file whose weights it starts from; None for those of a Python file, which are random.
        original: The Keras model of that file.
    """

    NAME: str
    SIZE: int
    SIZES: tuple[int, int]
    TOP_FROM: str | None
    file: str
    content: bytes
    source: Path
    make: Built
    weights: Path | None = None
    original: Any = None

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def record(self) -> dict[str, str]:
        """What a run folder's record says of it."""
        return {"name": self.NAME, "file": self.file, "sha256": self.sha256}

    def build(self, keras: Any, size: int, classes: int) -> Any:
        """Build the network, always in Keras 3: a conversion rebuilds that in tf_keras.

        Args:
            keras: Not used.
            size: Side of the input, pixels.
            classes: Number of classes.

        Raises:
            ModelError: It cannot be built, maps other shapes, or ends in probabilities.
        """
        from fer_edge.train.backend import keras as keras3

        model = self.make(size, classes)
        where = f"{self.source}, build(keras, {size}, {classes})"
        if not isinstance(model, keras3.Model):
            raise ModelError(f"{where} returned {shortened(model)}; expected a keras.Model")
        check_shapes(model, where)
        if model.input_shape[1] != size or model.output_shape[1] != classes:
            raise ModelError(
                f"{where} maps {model.input_shape} to {model.output_shape}; expected pictures of {size} px to "
                f"{classes} logits"
            )
        if (activation := final_activation(model)) is not None:
            raise ModelError(f"{where} ends in {activation}; expected logits: leave the last activation out")
        if self.TOP_FROM is not None and self.TOP_FROM not in [layer.name for layer in model.layers]:
            raise ModelError(f"{self.source}: TOP_FROM = {self.TOP_FROM!r} is no layer of the network")
        return keras3.Model(model.inputs[0], model.outputs[0], name=self.NAME)

    def initialize(self, model: Any) -> None:
        """Set the weights of the Keras file that it comes from, but for a head for other classes.

        Args:
            model: The network, with random weights.
        """
        model.set_weights(with_head(self.original, int(model.output_shape[1]), self.NAME).get_weights())

    def keep(self, folder: Path) -> None:
        """Write the copy into a run folder; SinkError where it cannot be written."""
        write_bytes(folder / self.file, self.content)


def open_python(path: Path, option: str = "--architecture", name: str | None = None) -> OwnArchitecture:
    """Read the architecture that a Python file defines.

    Args:
        path: The file: `build(keras, size, classes)` and, as it likes, NAME, SIZE, SIZES and TOP_FROM.
        option: What named the file, for error messages.
        name: The network's name where it is known already, which may be registered; by default NAME or the file's.

    Raises:
        ConfigError: The file cannot be read or run, or defines no build.
        ModelError: NAME, SIZE, SIZES or TOP_FROM are nothing that they can be.
    """
    module = load_module(path, "build", option)
    known, name = name is not None, name or getattr(module, "NAME", None) or network_name(path.stem)
    size, top = getattr(module, "SIZE", INPUT_SIZE), getattr(module, "TOP_FROM", None)
    if not isinstance(name, str) or name != network_name(name) or (name in ARCHITECTURES and not known):
        taken = isinstance(name, str) and name in ARCHITECTURES
        problem = "is a network of fer-edge's" if taken else "is no name"
        raise ModelError(f"{path}: NAME = {shortened(repr(name))} {problem}; expected letters, digits and _ of its own")
    if type(size) is not int or not SIDES[0] <= size <= SIDES[1]:
        raise ModelError(f"{path}: SIZE = {shortened(repr(size))}; expected pixels, {SIDES[0]} to {SIDES[1]}")
    sizes = getattr(module, "SIZES", SIDES)
    if not (isinstance(sizes, tuple) and [type(each) for each in sizes] == [int, int] and sizes[0] <= size <= sizes[1]):
        raise ModelError(
            f"{path}: SIZES = {shortened(repr(sizes))}; expected the smallest and the largest side around SIZE"
        )
    if top is not None and not isinstance(top, str):
        raise ModelError(f"{path}: TOP_FROM = {shortened(repr(top))}; expected the name of a layer")

    def make(side: int, classes: int) -> Any:
        from fer_edge.train.backend import keras

        try:
            return module.build(keras, side, classes)
        except Exception as error:
            where = f"{path}, build(keras, {side}, {classes})"
            raise ModelError(f"{where} failed: {user_error(error, path)}") from None

    return OwnArchitecture(name, size, sizes, top, PYTHON_FILE, read_limited(path, MAX_BYTES), path, make)


def open_keras(path: Path) -> OwnArchitecture:
    """Make an architecture of a Keras model, which starts from its weights.

    Args:
        path: A .keras or .h5 file: a classifier of square pictures with 1 or 3 channels.

    Raises:
        ModelError: Keras cannot load it, or it is something else.
    """
    if path.suffix not in (".keras", ".h5"):
        raise ModelError(f"--from-keras {path}: expected a .keras or .h5 file")
    if not path.is_file():
        raise ModelError(f"--from-keras {path}: no such file")
    model = load_keras(path)
    check_shapes(model, path)
    name = network_name(path.stem)
    name = f"{name}_own" if name in ARCHITECTURES else name
    if read_classes(path) is None:  # not from a training here
        if (activation := final_activation(model)) in PROBABILITIES:
            _logger.info(f"{path}: its {activation} at the end is left out; training takes logits")
        model = with_logits(model, name)
    own = _from_graph(name, model.to_json().encode(), path)
    return replace(own, weights=path, original=model)


def _from_graph(name: str, content: bytes, source: Path) -> OwnArchitecture:
    """The architecture of a Keras model's configuration (JSON)."""
    from fer_edge.train.backend import keras

    def make(side: int, classes: int) -> Any:
        del side  # SIZES allows no other
        try:
            model = keras.models.model_from_json(content.decode())
        except Exception as error:  # a layer that this version or its safe mode does not know
            raise ModelError(f"{source} cannot be built by Keras: {shortened(error, 160)}") from None
        return with_head(model, classes, name)

    side = _side(content, source)
    return OwnArchitecture(name, side, (side, side), None, GRAPH_FILE, content, source, make)


def _side(content: bytes, source: Path) -> int:
    """The side of the input that a configuration states."""
    from fer_edge.train.backend import keras

    try:
        shape = keras.models.model_from_json(content.decode()).input_shape
        return int(shape[1])
    except Exception as error:
        raise ModelError(f"{source} cannot be built by Keras: {shortened(error, 160)}") from None


@contextmanager
def registered(own: OwnArchitecture | None) -> Iterator[OwnArchitecture | None]:
    """The rest of the package finds an architecture by its name inside the block; None changes nothing."""
    if own is None:
        yield None
        return
    before = ARCHITECTURES.get(own.NAME)
    ARCHITECTURES[own.NAME] = own
    try:
        yield own
    finally:
        if before is None:
            del ARCHITECTURES[own.NAME]
        else:
            ARCHITECTURES[own.NAME] = before


def own_architecture(name: str) -> OwnArchitecture | None:
    """The registered architecture of a name; None for the package's own."""
    found = ARCHITECTURES.get(name)
    return found if isinstance(found, OwnArchitecture) else None


@contextmanager
def remembered(folder: Path) -> Iterator[None]:
    """The architecture that a run folder keeps is registered inside the block; a folder without one changes nothing.

    A Python file in a run folder is run.

    Raises:
        ModelError: The copy is not the one that was trained, or cannot be built.
        ConfigError: The Python file cannot be run.
    """
    with registered(_recalled(folder)):
        yield


def _recalled(folder: Path) -> OwnArchitecture | None:
    path = next((folder / name for name in (PYTHON_FILE, GRAPH_FILE) if (folder / name).is_file()), None)
    if path is None:
        return None
    hint = "expected it as 'fer-edge train' left it"
    try:
        record = read_json(folder / "recipe.json")["architecture"]
        name, digest = str(record["name"]), record["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{folder}: recipe.json does not name its architecture; {hint}") from None
    content = read_limited(path, 64 << 20)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{path} has changed since the training; {hint}")
    if path.name == GRAPH_FILE:
        return _from_graph(name, content, path)
    existing = own_architecture(name)
    if existing is not None and existing.content == content:
        return existing
    return open_python(path, "the run's", name)


def check_sizes(own: OwnArchitecture, sides: set[int], classes: int) -> None:
    """Check that a network can be built for every phase, with the same weights.

    Args:
        own: The architecture.
        sides: Sides of the phases' inputs, pixels.
        classes: Number of classes.

    Raises:
        ModelError: It cannot be built, or has other weights for another side.
    """
    from fer_edge.train import architectures
    from fer_edge.train.backend import keras

    shapes = [np.shape(value) for value in own.build(keras, own.SIZE, classes).get_weights()]
    for side in sorted(sides - {own.SIZE}):
        model = architectures.build(own.NAME, keras, side, classes=classes)
        if [np.shape(value) for value in model.get_weights()] != shapes:
            raise ModelError(
                f"{own.source} has other weights for pictures of {side} px than of {own.SIZE}; expected the same, for "
                f"example by global pooling, or SIZES = ({own.SIZE}, {own.SIZE}) and phases of that size alone"
            )
