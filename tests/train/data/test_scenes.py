"""Composed scenes: what is pasted is where the scene says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_edge.train.data.scenes import compose, picture_patch, true_crop

GRAY = np.full((480, 640, 3), 120, np.uint8)


@pytest.mark.parametrize("tilt", [0.0, 90.0, -135.0, 180.0])
@pytest.mark.parametrize("side", [48.0, 130.0])
def test_the_true_crop_is_the_pasted_picture(side: float, tilt: float) -> None:
    rough = np.random.default_rng(3).integers(0, 256, (8, 8), np.uint8)
    picture = np.asarray(cv2.resize(rough, (48, 48), interpolation=cv2.INTER_CUBIC), np.uint8)
    place = (301.3, 217.8), side, tilt
    scene = compose(GRAY, [picture_patch(picture, 2, 7)], [place], np.random.default_rng(0))
    assert (scene.faces[0].label, scene.faces[0].number) == (2, 7)
    crop = true_crop(scene, scene.faces[0])
    assert np.corrcoef(crop.ravel(), picture.ravel())[0, 1] > 0.97
