"""The scenes of `fer-edge bench detection`: which faces, how large, how tilted, in which frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.data.scenes import Patch, Point, Scene, background, compose, picture_patch, scatter
from fer_edge.train.data.splits import Split

FACE_WIDTH = 0.77
"""Width of a face in sides of the square that a FER2013 picture shows.

The box of YuNet, which was trained on WIDER FACE's tight boxes, has a median width of 0.79 in FER2013's pictures
(quartiles 0.71 and 0.88), and of 0.74 in the portrait's square.
"""

SIZES = (16, 20, 24, 32, 40, 60, 100, 150, 220, 320)
"""Widths of the faces, pixels of the frame, as for --min-face: FER2013's pictures are pasted at 21 to 416 pixels.

The largest is a face at arm's length, whose head is higher than the frame.
"""

FRAMES = (((640, 480), 1.0), ((1280, 720), 0.5), ((480, 640), 0.25), ((640, 360), 0.25))
"""Sizes of the frames, and the share of `count` faces of each size that they show."""

TILTS = (0, 15, 30, 45, 60, 90, 135, 180)
"""Degrees; half of the scenes turn to the left."""

TILTED_SIZES = (45.0, 150.0)
"""Range of the tilted faces' widths, pixels."""

PORTRAIT_SIZES = (16, 20, 24, 32, 40, 60, 100, 150, 320)

PORTRAIT_TILTS = (0, 30, 60, 90, 135, 180)

PORTRAITS = 19
"""Portraits of each size and tilt, at least, unless `count` is less."""

CROWD_SIZES = (18.0, 60.0)
"""Range of the widths of the faces in a crowd, pixels."""

MOST_FACES = 6
"""Faces in a scene, at most; a crowd has more."""

VARIED = 0
"""The size of a case whose scenes differ in it."""


@dataclass(frozen=True)
class Case:
    """What scenes have in common.

    Attributes:
        group: "size", "tilt", "portrait" or "crowd".
        width: Width of the frame, pixels.
        height: Its height.
        size: Width of the faces, pixels, or VARIED.
        tilt: Degrees, to either side.
    """

    group: str
    width: int
    height: int
    size: int
    tilt: int


class Plan:
    """The scenes in their order; each is composed when its turn comes, from a seed of its own."""

    def __init__(
        self, split: Split, portrait: Patch, photographs: Sequence[NDArray[np.uint8]], count: int, seed: int = 0
    ) -> None:
        """Make a plan.

        Args:
            split: The FER2013 pictures.
            portrait: The portrait's head.
            photographs: Backgrounds, (H, W, 3) uint8 each; textures alone where there are none.
            count: Faces of each size and of each tilt in 640x480.
            seed: Seed of everything.
        """
        self._split, self._portrait, self._photographs, self._seed = split, portrait, photographs, seed
        self._cases = [(case, number) for case, scenes in _cases(count) for number in range(scenes)]

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._cases)

    def __iter__(self) -> Iterator[tuple[Case, Scene]]:
        """The scenes, the same ones in the same order each time."""
        for index, (case, number) in enumerate(self._cases):
            # the scenes of all tilts show the same faces at the same places
            key = (0, number) if case.group == "tilt" else (1, index)
            yield case, self._scene(case, number, np.random.default_rng([self._seed, *key]))

    def _scene(self, case: Case, number: int, rng: np.random.Generator) -> Scene:
        empty = background(case.width, case.height, self._photographs, rng)
        side = (case.size or float(np.exp(rng.uniform(*np.log(_range(case)))))) / FACE_WIDTH
        places = (
            _rows(case.width, case.height, side, rng)
            if case.group == "crowd"
            else scatter(case.width, case.height, side, _faces(case), rng)
        )
        portraits = {"portrait": 1.0, "crowd": 0.3}.get(case.group, 0.0)
        patches = [self._portrait if rng.random() < portraits else self._picture(rng) for _ in places]
        tilt = float(case.tilt if number % 2 else -case.tilt)
        return compose(empty.pixels, patches, [(place, side, tilt) for place in places], rng)

    def _picture(self, rng: np.random.Generator) -> Patch:
        row = int(rng.integers(len(self._split)))
        return picture_patch(self._split.faces[row], int(self._split.labels[row]), row)


def _cases(count: int) -> Iterator[tuple[Case, int]]:
    """Each case and its number of scenes."""
    for (width, height), share in FRAMES:
        for size in SIZES:
            case = Case("size", width, height, size, 0)
            yield case, -(-round(count * share) // _faces(case))
    for tilt in TILTS:
        case = Case("tilt", 640, 480, VARIED, tilt)
        yield case, -(-count // _faces(case))
    for size in PORTRAIT_SIZES:
        for tilt in PORTRAIT_TILTS:
            case = Case("portrait", 640, 480, size, tilt)
            yield case, -(-min(count, PORTRAITS) // _faces(case))
    for width, height in ((640, 480), (1280, 720)):
        yield Case("crowd", width, height, VARIED, 0), -(-count // 10)


def _range(case: Case) -> tuple[float, float]:
    return CROWD_SIZES if case.group == "crowd" else TILTED_SIZES


def _faces(case: Case) -> int:
    """Faces in a scene: as many as have room without touching."""
    if case.size == VARIED:
        return 2
    return max(1, min(MOST_FACES, int(0.08 * case.width * case.height * (FACE_WIDTH / case.size) ** 2)))


def _rows(width: int, height: int, side: float, rng: np.random.Generator) -> list[Point]:
    """Places of a crowd's faces: rows of neighbours, half a face apart, as in a photograph of a group."""
    columns = min(10, int(width / (1.5 * side)))
    rows = min(3, int(height / (1.6 * side)))
    left, top = (width - 1.5 * side * (columns - 1)) / 2, (height - 1.6 * side * (rows - 1)) / 2
    return [
        (
            float(left + 1.5 * side * column + rng.normal(0, 0.05 * side)),
            float(top + 1.6 * side * row + rng.normal(0, 0.05 * side)),
        )
        for row in range(rows)
        for column in range(columns)
    ]
