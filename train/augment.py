"""Augmentation: random views of training faces by one warp from 48 px to the network's size, then light and erasing."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE, normalize, stretch_contrast
from fer_edge.train.camera_corruptions import corrupt
from fer_edge.train.recipes import Recipe

STREAM = 0x9E3779B97F4A7C15
"""Random numbers that each face of a batch has for itself, more than any face takes: 2^64 over the golden ratio, as the
streams of a linear generator that lie powers of two apart are correlated."""


def augment(
    faces: NDArray[np.uint8],
    size: int,
    recipe: Recipe,
    rng: np.random.Generator,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Augment faces at random.

    Flip, rotation, zoom, shift and upscaling are one affine warp, so that the picture is interpolated once; with all of
    them off it equals `preprocess.network_input` to the resampler's rounding. A share of the faces is corrupted as by a
    camera first (`camera_corruptions`), the others stay clean.

    Args:
        faces: (N, 48, 48) uint8 gray.
        size: Side of the network's input, pixels.
        recipe: How strong the augmentation is.
        rng: Source of the random numbers. Each face has a stream of its own, so that several processes make parts of
            a batch as one makes the whole.
        rows: (N,) the faces' places in their batch; 0 to N - 1 where None.

    Returns:
        (N, size, size, 3) float32 in [-1, 1].
    """
    views = np.empty((len(faces), size, size), np.uint8)
    streams = _streams(rng, np.arange(len(faces)) if rows is None else rows)
    for view, face, rng in zip(views, faces, streams, strict=True):
        matrix = _matrix(size, recipe, rng)
        corrupted = recipe.corruption > 0 and rng.random() < recipe.corruption
        stretched = stretch_contrast(corrupt(face, rng) if corrupted else face)
        noisy = _add_noise(stretched, recipe, rng) if recipe.noise and not corrupted else stretched
        cv2.warpAffine(noisy, matrix, (size, size), dst=view, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if not corrupted:
            _change_light(view, recipe, rng)
            _erase(view, recipe, rng)
    return normalize(views)


def _streams(rng: np.random.Generator, rows: NDArray[np.int64]) -> Iterator[np.random.Generator]:
    """The generator at the beginning of each row's stream; after the last row beyond the streams of all rows."""
    source = rng.bit_generator
    assert isinstance(source, np.random.PCG64)  # numpy's default, which jumps to any of its numbers at once
    start = source.state
    for row in rows.tolist():
        source.state = start
        source.advance(row * STREAM)
        yield rng
    source.state = start
    source.state = source.jumped().state


def _matrix(size: int, recipe: Recipe, rng: np.random.Generator) -> NDArray[np.float64]:
    """The (2, 3) affine map from the 48-px face to the view, about the centres of both."""
    angle = np.deg2rad(rng.uniform(-recipe.rotation, recipe.rotation))
    scale = size / FACE_SIZE * (1 + rng.uniform(-recipe.zoom, recipe.zoom))
    flip = -1.0 if rng.random() < recipe.flip else 1.0
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([flip, 1.0])
    face_centre, view_centre = (FACE_SIZE - 1) / 2, (size - 1) / 2
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * size
    return np.column_stack([linear, view_centre + shift - linear @ [face_centre, face_centre]])


def _add_noise(face: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add Gaussian noise, of a random strength for each face, at the 48 px to which a camera's face is reduced."""
    noise = rng.standard_normal(face.shape, np.float32) * np.float32(rng.uniform(0, recipe.noise))
    return np.clip(np.rint(face + noise), 0, 255).astype(np.uint8)


def _change_light(view: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator) -> None:
    """Change contrast, brightness and gamma, in place."""
    if recipe.contrast or recipe.brightness or recipe.gamma:
        gain = 1 + rng.uniform(-recipe.contrast, recipe.contrast)
        offset = rng.uniform(-recipe.brightness, recipe.brightness)
        power = np.exp(rng.uniform(-recipe.gamma, recipe.gamma))
        curve = 255 * (np.arange(256) / 255) ** power
        table = np.clip((curve - 127.5) * gain + 127.5 + offset, 0, 255).astype(np.uint8)
        view[:] = cv2.LUT(view, table)


def _erase(view: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator) -> None:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896): a rectangle of 2..15 % of the area in one gray."""
    if rng.random() >= recipe.erase:
        return
    side = len(view)
    area, aspect = rng.uniform(0.02, 0.15) * side * side, np.exp(rng.uniform(-1, 1))
    height, width = (
        min(side, max(1, round(float(extent)))) for extent in (np.sqrt(area * aspect), np.sqrt(area / aspect))
    )
    top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
    view[top : top + height, left : left + width] = rng.integers(0, 256)
