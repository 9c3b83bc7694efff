"""Contrast stretching of faces in dim light, in fog and without contrast."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.preprocess import MAX_GAIN, MIN_CONTRAST, prepare, stretch_contrast, upscale

FACES = arrays(np.uint8, (48, 48), elements=st.integers(0, 255))


def portrait() -> np.ndarray:
    """A smooth picture with the contrast of a well-lit face."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    return (127 + 60 * np.cos(4 * x) * np.cos(3 * y)).astype(np.uint8)


@given(FACES)
def test_stretching_keeps_the_order_of_gray_values(face: np.ndarray) -> None:
    stretched = stretch_contrast(face)
    assert stretched.shape == face.shape and stretched.dtype == np.uint8
    order = np.argsort(face, axis=None, kind="stable")
    assert np.all(np.diff(stretched.ravel()[order].astype(int)) >= 0)


@given(st.integers(0, 2**32 - 1), st.integers(130, 255))
def test_a_face_with_enough_contrast_stays_as_it_is(seed: int, white: int) -> None:
    face = np.random.default_rng(seed).integers(0, white, (48, 48), np.uint8)
    assert face.std() >= MIN_CONTRAST
    assert np.array_equal(stretch_contrast(face), face)
    assert np.array_equal(prepare(face), upscale(face))


@pytest.mark.parametrize(("light", "black"), [(0.15, 0), (0.12, 60), (0.2, 200), (0.3, 20)])
def test_dim_light_and_fog_change_little(light: float, black: int) -> None:
    face = portrait()
    dim = np.clip(face * light + black, 0, 255).astype(np.uint8)
    stretched = stretch_contrast(dim)
    assert dim.std() < MIN_CONTRAST and abs(stretched.std() - MIN_CONTRAST) < 2
    assert np.corrcoef(stretched.ravel(), face.ravel())[0, 1] > 0.99
    assert stretched.min() > 0 and stretched.max() < 255, "nothing is clipped"


@pytest.mark.parametrize("gray", [0, 100, 255])
def test_a_flat_face_stays_flat(gray: int) -> None:
    flat = np.full((48, 48), gray, np.uint8)
    assert np.ptp(stretch_contrast(flat)) == 0
    flat[::2] ^= 1  # a sensor's last bit
    assert np.ptp(stretch_contrast(flat)) <= MAX_GAIN


def test_a_view_of_a_frame_gives_the_same_as_a_copy() -> None:
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(90, 110, (96, 96), np.uint8), (5, 5), 2)
    assert np.array_equal(stretch_contrast(frame[10:58, 20:68]), stretch_contrast(frame[10:58, 20:68].copy()))
