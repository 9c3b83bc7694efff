"""Frozen features: what the layers below the trained ones make of each picture, computed once instead of every epoch.

With a few hundred pictures nothing else is worth its time: the head of a network that knows faces is trained on them in
seconds, its last blocks in minutes. Each picture has several augmented views. They are kept on disk in half precision.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.augment import augment
from fer_edge.train.backend import keras
from fer_edge.train.data.splits import Split
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import Batch, TrainingSet
from fer_edge.train.validation import loss_and_accuracy

BATCH = 128
"""Pictures in one step of a computation without training."""

MAX_FEATURES = 60_000
"""Views of which there are features, unless there are more than half as many pictures: each has two or more."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SplitNetwork:
    """A network as two that share its layers: `below` has none that is trained.

    Attributes:
        below: Pictures (N, S, S, 3) to features.
        above: Features to logits (N, C).
    """

    below: Any
    above: Any


def split_network(model: Any, trained: Sequence[Any]) -> SplitNetwork:
    """Split a network below the first of its trained layers that has weights.

    Args:
        model: The Keras model, a graph whose layers below and above are joined by one tensor.
        trained: The layers that will be trained, in the order of the graph.
    """
    features = next(layer for layer in trained if layer.weights).input
    return SplitNetwork(keras.Model(model.input, features), keras.Model(features, model.output))


class FrozenFeatures:
    """The features of a training set's views, in a file without a name that is gone after a `with` block or a crash.

    Attributes:
        above: The network above the features, whose layers are trained.
        features: (V * N, …) float16, memory-mapped; the V views of all N pictures one after another.
    """

    def __init__(self, network: SplitNetwork, faces: TrainingSet, val: Split, run: TrainingRun) -> None:
        """Compute the features.

        Args:
            network: The network, split below the layers that are trained.
            faces: The N faces.
            val: The rows on which epochs are compared.
            run: The run: how the views are augmented, how many at most, and the folder for the file.

        Raises:
            SinkError: The disk is full.
        """
        self.above, self._faces, self._val, self._recipe = network.above, faces, val, run.recipe
        views, below = max(2, min(run.recipe.frozen_views, MAX_FEATURES // len(faces))), network.below
        with ExitStack() as stack:
            self._val_features = _plain_features(below, val.faces)
            shape = (views * len(faces), *below.output.shape[1:])
            size = 2 * math.prod(shape) / 1e6
            _logger.info(f"frozen features of {views} views a picture: {size:.0f} MB")
            try:
                file = stack.enter_context(TemporaryFile(dir=run.folder))
                with progress_bar("frozen features", len(faces) * views) as bar:
                    for view in range(views):
                        self._write_view(file, below, view, bar)
                file.flush()
            except OSError as error:
                raise SinkError(
                    f"{run.folder}: {size:.0f} MB of frozen features cannot be stored: {error.strerror}; free some "
                    "space, or pass a smaller --frozen-views"
                ) from None
            # written first, then mapped: a full disk ends a process that writes to mapped memory
            self.features: NDArray[np.float16] = np.memmap(file, np.float16, "r", shape=shape)
            self._closing = stack.pop_all()

    def _write_view(self, file: IO[bytes], below: Any, view: int, bar: Any) -> None:
        """Compute the features of one view of each picture, and append them to the file."""
        recipe, faces, size = self._recipe, self._faces.faces, int(below.input_shape[1])
        for start in range(0, len(faces), BATCH):
            part = faces[start : start + BATCH]
            pictures = augment(part, size, recipe, np.random.default_rng([recipe.seed, view, start]))
            pictures = pictures[..., : below.input_shape[3]]  # its channels are equal
            file.write(_run(below, pictures).astype(np.float16).tobytes())
            bar.update(len(part))

    @property
    def steps(self) -> int:
        """Steps of an epoch, in which every view is seen, but for those left over from the last whole batch."""
        return max(1, len(self.features) // self._recipe.batch_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, their views being (B, …) features; the same for the same seed and epoch."""
        order, steps = np.random.default_rng([self._recipe.seed, epoch]).permutation(len(self.features)), self.steps
        for part in np.array_split(order[: steps * self._recipe.batch_size], steps):
            chosen = np.sort(part)  # a disk reads them in this order
            rows = chosen % len(self._faces)
            features = self.features[chosen].astype(np.float32)
            yield Batch(features, self._faces.targets[rows], self._faces.weights[rows])

    def validate(self) -> dict[str, float]:
        """Cross-entropy and accuracy on the val split."""
        return loss_and_accuracy(_run(self.above, self._val_features), self._val.labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()


def _plain_features(below: Any, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, …) float32 features of (N, 48, 48) uint8 faces as a device sees them."""
    shape = below.input_shape[2:]
    parts = [_run(below, network_input(faces[start : start + BATCH], *shape)) for start in range(0, len(faces), BATCH)]
    return np.concatenate(parts)


def _run(network: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network's answers in float32, of at most so many inputs at a time."""
    parts = [network.predict_on_batch(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part), np.float32) for part in parts])
