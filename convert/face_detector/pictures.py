"""Pictures on which the detector is calibrated and verified: composed scenes, the portrait, and photographs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, SourceError
from fer_edge.edge.faces.yunet import plan_input
from fer_edge.edge.sources import pictures as sources
from fer_edge.edge.sources.picture_files import list_pictures
from fer_edge.models import FOLDER
from fer_edge.train.data.scenes import Patch, background, compose, picture_patch, scatter
from fer_edge.train.data.splits import Split

log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]

PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"
"""NASA's portrait that comes with the project."""

FRAMES = ((640, 480), (640, 480), (640, 360), (480, 640))
"""Sizes of the scenes' frames, pixels."""

INPUT_SIDES = (160, 224, 320, 320, 448, 640)
"""Lengths of the input's longer side, pixels: what --min-face may choose, and most often the one of video."""

FACE_SIDES = (20.0, 400.0)
"""Range of the faces' sides, frame pixels; their logarithm is uniform."""

MOST_FACES = 4
TILT = 25.0
"""Degrees to either side."""


def scenes(split: Split, count: int, seed: int, portrait: Patch | None = None) -> Iterator[Picture]:
    """Composed scenes in the shapes of the network's input.

    Args:
        split: The FER2013 pictures that are pasted.
        count: Number of scenes.
        seed: Random seed.
        portrait: A head that takes the place of every fourth face; None for FER2013 pictures alone.

    Yields:
        (H, W, 3) uint8 BGR, both sides a multiple of 32.
    """
    photographs = installed_photographs()
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        width, height = FRAMES[index % len(FRAMES)]
        side = float(np.exp(rng.uniform(*np.log(FACE_SIDES))))
        places = scatter(width, height, side, int(rng.integers(1, MOST_FACES + 1)), rng)
        empty = background(width, height, photographs, rng).pixels
        patches = [portrait if portrait and rng.random() < 0.25 else _tinted(split, rng) for _ in places]
        scene = compose(empty, patches, [(place, side, float(rng.uniform(-TILT, TILT))) for place in places], rng)
        yield at_input_side(scene.pixels, int(rng.choice(INPUT_SIDES)))


def photographs(paths: Sequence[Path]) -> Iterator[Picture]:
    """Photographs at each of the input's sizes.

    Args:
        paths: The pictures.

    Yields:
        (H, W, 3) uint8 BGR, both sides a multiple of 32.

    Raises:
        DataError: One of them cannot be read.
    """
    for path in paths:
        pixels = read_picture(path)
        for side in sorted(set(INPUT_SIDES)):
            yield at_input_side(pixels, side)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; DataError where there is none."""
    try:
        found = list_pictures(folder)
    except SourceError as error:
        raise DataError(str(error)) from None
    if found.left_out:
        log.info("%s: left out: %s", folder, found.left_out)
    return found.paths


def read_picture(path: Path) -> Picture:
    """A picture, (H, W, 3) uint8 BGR; DataError where it cannot be read."""
    try:
        return sources.read_picture(path)
    except SourceError as error:
        raise DataError(str(error)) from None


def at_input_side(pixels: Picture, side: int) -> Picture:
    """Reduce or enlarge a picture to a network input whose longer side is `side` pixels."""
    size = pixels.shape[1], pixels.shape[0]
    return plan_input(size, side / max(size)).place(pixels)


def installed_photographs() -> list[Picture]:
    """The two photographs without people that scikit-learn contains; none where it is not installed."""
    package = find_spec("sklearn")
    folder = Path(package.origin or "").parent / "datasets" / "images" if package else None
    return [read_picture(path) for path in sorted(folder.glob("*.jpg"))] if folder else []


def _tinted(split: Split, rng: np.random.Generator) -> Patch:
    """A FER2013 picture of the split as a patch, with a skin's tint."""
    row = int(rng.integers(len(split)))
    patch = picture_patch(split.faces[row], int(split.labels[row]), row)
    tint = rng.uniform((0.6, 0.75, 0.95), (1.0, 1.0, 1.1))  # blue, green, red
    return replace(patch, pixels=np.asarray(np.clip(np.rint(patch.pixels * tint), 0, 255), np.uint8))
