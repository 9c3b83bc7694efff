"""Consistency: a network's prediction on a corrupted view of a face shall be that on a clean view of it.

Xie et al. 2020 (UDA, arXiv:1904.12848) take the divergence of the prediction on an augmented view from that on the
picture itself, which passes on no gradient; Hendrycks et al. 2020 (AugMix, arXiv:1912.02781) take one among three views
of a labelled picture, to be robust to corruptions. Here two views of each labelled face make up a batch: the first half
of it is clean, the second half, in the same order, is corrupted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.augment import augment
from fer_edge.train.recipes import Recipe


def paired_views(
    faces: NDArray[np.uint8],
    size: int,
    recipe: Recipe,
    rng: np.random.Generator,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """A clean view of each face, and then a corrupted one, each flipped, turned and shifted at random by itself.

    Args:
        faces: (N, 48, 48) uint8 gray.
        size: Side of the network's input, pixels.
        recipe: How strong the augmentation is. Its share of corrupted faces is one of all views, and at most half.
        rng: Source of the random numbers.
        rows: (M,) which of the 2 N views are made; all where None.

    Returns:
        (M, size, size, 3) float32 in [-1, 1].
    """
    rows = np.arange(2 * len(faces)) if rows is None else rows
    clean, corrupted = rows[rows < len(faces)], rows[rows >= len(faces)] - len(faces)
    parts = [
        augment(faces[clean], size, replace(recipe, corruption=0.0), rng, clean),
        augment(faces[corrupted], size, replace(recipe, corruption=2 * recipe.corruption), rng, corrupted),
    ]
    return np.concatenate(parts)


def view_divergence(logits: Any) -> Any:
    """The Kullback-Leibler divergence of the prediction on each corrupted view from that on its clean view.

    Args:
        logits: (2 N, C) tensor of any Keras backend, the clean views first.

    Returns:
        (2 N,) tensor: 0 for the clean views, from which no gradient comes, and the divergences in nats.
    """
    from fer_edge.train.backend import keras

    clean, corrupted = keras.ops.split(keras.ops.log_softmax(logits), 2, axis=0)
    clean = keras.ops.stop_gradient(clean)
    divergence = keras.ops.sum(keras.ops.exp(clean) * (clean - corrupted), axis=1)  # (N,)
    return keras.ops.concatenate([keras.ops.zeros_like(divergence), divergence])
