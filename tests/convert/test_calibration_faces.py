"""Calibration faces: a sample of the train split, of which about the given share is corrupted, always the same."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge.convert.calibration_faces import calibration_faces, sample_faces
from fer_edge.convert.options import ConversionOptions
from fer_edge.train.data.splits import Split

TRAIN = Split(np.random.default_rng(1).integers(0, 256, (300, 48, 48), np.uint8), np.arange(300) % 7, tuple("abcdefg"))


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 0.35, 0.65), (1.0, 0.95, 1.0)])
def test_a_share_of_the_sample_is_corrupted(share: float, least: float, most: float) -> None:
    options = ConversionOptions(calibration_samples=200, corruption=share)
    faces, plain = calibration_faces(TRAIN, options), sample_faces(TRAIN, 200, options.seed)
    assert faces.shape == plain.shape == (200, 48, 48) and faces.dtype == np.uint8
    # four standard errors of a binomial distribution of 200
    assert least <= np.mean((faces != plain).any(axis=(1, 2))) <= most
    assert np.array_equal(faces, calibration_faces(TRAIN, options))


def test_a_split_smaller_than_the_sample_gives_all_its_faces() -> None:
    assert len(calibration_faces(TRAIN, ConversionOptions(calibration_samples=1000))) == len(TRAIN)
