"""Shuffled, augmented batches, prefetched in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import network_input
from fer_edge.train.augment import augment
from fer_edge.train.consistency import paired_views
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import Batch, TrainingSet, draw_mixing, mixup

BATCH_NORM_BATCHES = 32
"""Batches from which batch norm's statistics are computed, of averaged weights or for clean faces."""

WHOLE = slice(None)
"""The share of a process that trains alone."""


def steps_per_epoch(training_set: TrainingSet, recipe: Recipe) -> int:
    """Steps in which every face is seen, but for those left over from the last whole batch; at least 1."""
    return max(1, len(training_set) // _faces_per_step(recipe))


def rows_per_step(training_set: TrainingSet, recipe: Recipe) -> int:
    """Rows of a batch, fewer than the recipe says where there are fewer faces."""
    return (2 if recipe.consistency else 1) * min(len(training_set), _faces_per_step(recipe))


def _faces_per_step(recipe: Recipe) -> int:
    """Faces in a batch, which with consistency has two views of each."""
    return recipe.batch_size // 2 if recipe.consistency else recipe.batch_size


def augmented_batches(
    training_set: TrainingSet, size: int, recipe: Recipe, epoch: int, share: slice = WHOLE
) -> Iterator[Batch]:
    """The batches of an epoch with views of `size` pixels; the same for the same seed and epoch.

    With consistency the first half of a batch are clean views and the second half corrupted ones of the same faces.
    Of each batch only the share of this process is made, the same as that of the whole batch.
    """
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(training_set))
    steps, count = steps_per_epoch(training_set, recipe), _faces_per_step(recipe)

    def make(step: int) -> Batch:
        rng = np.random.default_rng([recipe.seed, epoch, step])
        faces = order[step * count : (step + 1) * count]
        indices = np.tile(faces, 2) if recipe.consistency else faces
        rows = made = np.arange(len(indices))[share]
        mixing = draw_mixing(len(indices), recipe.mixup, rng) if recipe.mixup else None
        if mixing:
            made = np.union1d(rows, mixing.other[rows])
        if recipe.consistency:
            views = paired_views(training_set.faces[faces], size, recipe, rng, made)
        else:
            views = augment(training_set.faces[faces[made]], size, recipe, rng, made)
        batch = Batch(views, training_set.targets[indices[made]], training_set.weights[indices[made]])
        return mixup(batch, mixing, rows, made) if mixing else batch

    workers = max(1, min(8, (os.cpu_count() or 2) // 2))
    with ThreadPoolExecutor(workers) as pool:
        prefetched = deque(pool.submit(make, step) for step in range(min(workers, steps)))
        for step in range(workers, steps + workers):
            batch = prefetched.popleft().result()
            if step < steps:
                prefetched.append(pool.submit(make, step))
            yield batch


def plain_batches(training_set: TrainingSet, size: int, recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """BATCH_NORM_BATCHES random batches of faces as a device sees them, (B, S, S, 3): not augmented."""
    rng = np.random.default_rng(recipe.seed)
    for _ in range(BATCH_NORM_BATCHES):
        yield network_input(training_set.faces[rng.integers(0, len(training_set), recipe.batch_size)], size)


def batch_norm_batches(training_set: TrainingSet, size: int, recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """BATCH_NORM_BATCHES batches of views, (B, S, S, 3), of the kind that the recipe's statistics are of."""
    if recipe.batch_norm == "clean":
        yield from plain_batches(training_set, size, recipe)
        return
    for batch in islice(augmented_batches(training_set, size, recipe, 0), BATCH_NORM_BATCHES):
        yield batch.views
