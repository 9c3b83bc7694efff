"""The training faces that ranges are calibrated on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.options import ConversionOptions
from fer_edge.train.camera_corruptions import corrupt
from fer_edge.train.data.splits import Split


def calibration_faces(train: Split, conversion: ConversionOptions) -> NDArray[np.uint8]:
    """Draw the faces to calibrate on; a share of them is corrupted, since ranges have to hold for a camera's faces too.

    Args:
        train: The train split.
        conversion: Size of the sample, share of corrupted faces and random seed.

    Returns:
        (N, 48, 48) uint8 faces.
    """
    faces = sample_faces(train, conversion.calibration_samples, conversion.seed)
    rng = np.random.default_rng(conversion.seed)
    corrupted = rng.random(len(faces)) < conversion.corruption
    return np.stack([corrupt(face, rng) if chosen else face for face, chosen in zip(faces, corrupted, strict=True)])


def sample_faces(split: Split, count: int, seed: int) -> NDArray[np.uint8]:
    """Draw a random sample of a split's faces.

    Args:
        split: The split to draw from.
        count: The size of the sample; all faces where there are fewer.
        seed: The random seed.

    Returns:
        (N, 48, 48) uint8 faces in the split's order.
    """
    order = np.random.default_rng(seed).permutation(len(split))[:count]
    return split.faces[np.sort(order)]
