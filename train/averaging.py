"""The weights that are validated and saved: their averages, over steps (EMA) or with the initial ones, and batch norm's
statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.backend import keras


@contextmanager
def final_weights(
    model: Any, optimizer: Any, batches: Iterable[NDArray[np.float32]], batch_norm: str = "moving"
) -> Iterator[None]:
    """Inside the block the model has the weights of a device: the EMA, where the optimizer keeps one.

    Args:
        model: The Keras model.
        optimizer: Its optimizer.
        batches: (B, S, S, 3) clean views from which batch norm's statistics are computed, for averaged weights and
            where they are to be those of clean faces.
        batch_norm: 'moving' for the moving averages of training, 'clean' for the statistics of the batches.
    """
    if not optimizer.use_ema and batch_norm == "moving":
        yield
        return
    current = model.get_weights()
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)
        for variable in model.trainable_variables:  # a copy: JAX would take the optimizer's own buffer away
            variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
    update_batch_norm(model, batches)
    try:
        yield
    finally:
        model.set_weights(current)


def average_with_initial(
    model: Any, initial: Sequence[NDArray[np.float32]], share: float, batches: Iterable[NDArray[np.float32]]
) -> None:
    """Average a fine-tuned network's weights with those that it started from, in place.

    Both lie in one basin of the loss, and what is between them keeps more of the accuracy on clean pictures than it
    loses of the robustness (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).

    Args:
        model: The Keras model, fine-tuned.
        initial: The weights that it started from, in the order of Keras' get_weights.
        share: The initial weights' share, 0..1.
        batches: (B, S, S, 3) views from which batch norm's statistics are computed for the averaged weights.
    """
    pairs = zip(initial, model.get_weights(), strict=True)
    model.set_weights([share * first + (1 - share) * last for first, last in pairs])
    update_batch_norm(model, batches)


def update_batch_norm(model: Any, batches: Iterable[NDArray[np.float32]]) -> None:
    """Recompute batch norm's statistics as their mean over the batches.

    Averaged weights have none of their own: no batch ever ran through them (Izmailov et al. 2018, arXiv:1803.05407).
    Those of a network that trains on corrupted faces too are of the mixture, which no device sees.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for count, views in enumerate(batches):
        for norm in norms:
            norm.momentum = count / (count + 1)
        model(views, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
