"""Predictions of models, ensembles and early exit on many faces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import run_cascade
from fer_edge.edge.expression.operating_point import Cascade
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.terminal import progress_bar

BATCH = 256
"""Faces per call of a model, which is a step of the progress bar."""

PARTS = 8
"""Batches that each of several threads gets at least, so that they end at about the same time."""

LogitsFunction = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, C) float32 logits."""


def collect_logits(
    model: LogitsFunction | Sequence[LogitsFunction],
    faces: NDArray[np.uint8],
    *,
    flip: bool = False,
    label: str = "faces",
) -> NDArray[np.float32]:
    """Run a model on every face, with a progress bar.

    Args:
        model: The model; where it was opened several times, each in a thread of its own. The interpreters and OpenCV
            release Python's lock, and a model that takes faces one by one gives the same logits.
        faces: (N, 48, 48) uint8 gray.
        flip: Whether to run it on the mirrored faces too (test-time augmentation).
        label: What stands in front of the progress bar.

    Returns:
        (V, N, C) float32 logits of V views: the faces as they are and, with flip, mirrored.

    Raises:
        ModelError: A logit is no number.
    """
    models = (model,) if callable(model) else model
    views = [faces, np.ascontiguousarray(faces[:, :, ::-1])] if flip else [faces]
    size = max(1, min(BATCH, -(-len(faces) // (PARTS * len(models))))) if len(models) > 1 else BATCH
    batches = [view[start : start + size] for view in views for start in range(0, len(faces), size)]
    parts = []
    with progress_bar(label, len(views) * len(faces)) as bar, closing(_in_order(models, batches)) as results:
        for part in results:
            parts.append(part)
            if not np.isfinite(part).all():
                raise ModelError(f"{label}: the model gives no numbers for a face; it may be damaged")
            bar.update(len(part))
    return np.concatenate(parts).reshape(len(views), len(faces), -1)


def _in_order(models: Sequence[LogitsFunction], batches: Sequence[NDArray[np.uint8]]) -> Generator[NDArray[np.float32]]:
    """The logits of each batch, in the order of the batches; the first model alone runs in the calling thread."""
    if len(models) == 1:
        yield from map(models[0], batches)
        return
    idle: SimpleQueue[LogitsFunction] = SimpleQueue()
    for each in models:
        idle.put(each)

    def run(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        model = idle.get()
        try:
            return model(batch)
        finally:
            idle.put(model)

    pool = ThreadPoolExecutor(len(models), "logits")
    try:
        for future in [pool.submit(run, batch) for batch in batches]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def fuse_views(
    views: list[NDArray[np.float32]], weights: Sequence[float], temperature: float, offsets: Sequence[float] = (0.0,)
) -> NDArray[np.float32]:
    """Probabilities of an ensemble from its members' logits.

    Args:
        views: (V, N, C) logits of each of M members.
        weights: (M,) weights of the members, with sum 1; the views of a member count equally.
        temperature: What the logits are divided by.
        offsets: (C,) class offsets, or one for all.

    Returns:
        (N, C) float32.
    """
    count = views[0].shape[0]
    logits = np.concatenate(views)  # (M * V, N, C)
    return fuse(logits, np.repeat(np.asarray(weights, np.float32), count) / count, temperature, offsets)


def early_exit(
    views: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    weights: Sequence[float],
    offsets: Sequence[float] | NDArray[np.floating],
    cascade: Cascade,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Predictions of an ensemble with early exit at its default operating point, from its members' logits.

    Args:
        views: (V, N, C) logits of each of M members in the order in which they run; only the first view is used.
        weights: (M,) weights of the members.
        offsets: (C,) class offsets, or one for all.
        cascade: Temperatures and thresholds.

    Returns:
        (N, C) float32 probabilities and (N,) int64 models per face.
    """
    return run_cascade(
        lambda member, faces: views[member][0, faces],
        views[0].shape[1],
        np.asarray(weights, np.float32),
        cascade.temperatures,
        cascade.default_point.thresholds,
        offsets,
    )
