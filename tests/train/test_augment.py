"""Augmentation: the device's preprocessing where it is off, repeatable, as strong as the recipe says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.edge.preprocess import network_input, upscale
from fer_edge.train.augment import augment
from fer_edge.train.recipes import Recipe

UNCHANGED = replace(Recipe(), flip=0.0, rotation=0.0, zoom=0.0, shift=0.0, contrast=0.0, brightness=0.0)


def test_augmentation_that_is_off_is_the_device_path() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (4, 48, 48), np.uint8)
    views = augment(faces, 96, UNCHANGED, np.random.default_rng(0))
    same = network_input(faces)
    assert views.shape == (4, 96, 96, 3) and np.ptp(views, axis=-1).max() == 0
    # the warp's weights have 5 bits: two roundings of up to 1/64 of the range each
    assert np.abs(views - same).max() <= 2 * (2 / 64) + 2 / 127.5
    assert np.array_equal(same[0, :, :, 0], upscale(faces[0]).astype(np.float32) / np.float32(127.5) - 1)


def test_augmentation_is_repeatable_and_in_range() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (16, 48, 48), np.uint8)
    strong = replace(Recipe(), erase=1.0)
    one, two = (augment(faces, 64, strong, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two) and one.min() >= -1 and one.max() <= 1
    assert not np.array_equal(one, augment(faces, 64, strong, np.random.default_rng(6)))


def test_noise_is_as_strong_as_the_recipe_says() -> None:
    """Each face's deviation is drawn evenly from 0 to 20: about 10 in the mean, over 200 faces to within 10 %."""
    gray = np.full((200, 48, 48), 128, np.uint8)
    views = augment(gray, 48, replace(UNCHANGED, noise=20.0), np.random.default_rng(2))
    deviations = views[..., 0].std(axis=(1, 2)) * 127.5
    assert (
        deviations.mean() == pytest.approx(10, rel=0.1) and deviations.max() <= 21
    )  # three and a half standard errors
