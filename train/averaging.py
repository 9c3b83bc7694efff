"""The moving average of the weights, and batch norm's statistics for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import network_input
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import Lessons

SETTLING = 32
"""Batches over which batch norm's statistics are gathered for averaged weights."""


@contextmanager
def averaged(model: Any, optimizer: Any, batches: Iterable[NDArray[np.float32]]) -> Iterator[None]:
    """The model with the moving average of its weights, where the recipe keeps one, and back."""
    if not optimizer.use_ema:
        yield
        return
    current = model.get_weights()
    optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:  # a copy: JAX would take the optimizer's own buffer away
        variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
    settle(model, batches)
    try:
        yield
    finally:
        model.set_weights(current)


def plain(lessons: Lessons, size: int, recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """Some batches of faces as a device sees them, (B, S, S, 3): not augmented."""
    rng = np.random.default_rng(recipe.seed)
    for _ in range(SETTLING):
        yield network_input(lessons.faces[rng.integers(0, len(lessons), recipe.batch_size)], size)


def settle(model: Any, batches: Iterable[NDArray[np.float32]]) -> None:
    """Batch norm's statistics anew, as their mean over some batches: averaged weights never saw one
    (Izmailov et al. 2018, arXiv:1803.05407)."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for done, views in enumerate(batches):
        for norm in norms:
            norm.momentum = done / (done + 1)
        model(views, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
