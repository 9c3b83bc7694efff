"""The model of a phase: its input size, the layers that it trains, and the seeds of its dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_edge.train import architectures
from fer_edge.train.backend import keras
from fer_edge.train.fused_batch_norm import training_keras
from fer_edge.train.recipes import Phase, Recipe


def seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Seed every dropout layer by the epoch, so that a resumed run draws the same random numbers."""
    layers = [layer for layer in model.layers if hasattr(layer, "seed_generator")]
    for index, layer in enumerate(layers):
        layer.seed_generator.state.assign(np.array([1000 * seed + index, epoch << 20], np.uint32))


def set_trainable(name: str, model: Any, phase: Phase, recipe: Recipe) -> list[Any]:
    """Freeze all layers but those that the phase trains, which are returned.

    On frozen features batch norm keeps its statistics and factors: few pictures give none better.
    """
    layers: list[Any] = {
        "warmup": lambda: architectures.head_layers(model),
        "small": lambda: model.layers,
        "top": lambda: (architectures.last_layers if recipe.frozen_views else architectures.top_layers)(name, model),
        "full": lambda: model.layers,
    }[phase.name]()
    names = {layer.name for layer in layers}
    frozen_norms = recipe.frozen_views > 0 and phase.name == "top"
    for layer in model.layers:
        norm = frozen_norms and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name in names and not norm
    return layers


def resized(model: Any, name: str, size: int) -> Any:
    """The same weights in the same network for another input size."""
    if int(model.input_shape[1]) == size:
        return model
    other = architectures.build(name, training_keras(), size, classes=int(model.output_shape[1]))
    other.set_weights(model.get_weights())
    return other
