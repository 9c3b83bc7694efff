"""Pairs of pictures that show the same photograph, cropped, scaled, mirrored, brightened or marked otherwise.

Candidates are each picture's nearest neighbours by the correlation of 16 x 16 means. What decides is registration: the
middle of one picture, at several scales, is laid on every place of the other, and the pictures' details are correlated
there. A blurred copy is subtracted first, for the light on faces is much alike while their details are not.

The best pairs of FER2013's PublicTest rows with Training are of two kinds, with few between: of other photographs, with
correlations about 0.5, and of the same one, about 0.95. `docs/training.md` says which pairs were looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import progress_bar

SAME_PHOTOGRAPH = 0.82
"""Correlation of registered details from which two pictures show one photograph. Below it, pairs that do and pairs of
other photographs of the same person begin to mix."""

LEAST_CONTRAST = 2.0
"""Standard deviation, gray levels, of a picture's 16 x 16 means below which it shows nothing that could be compared."""

LEAST_DETAIL = 3.0
"""Standard deviation, gray levels, of a middle's details below which it is blank but for what a border leaves in it. Of
FER2013's pairs, none has less than 5."""

NEIGHBOURS = (6, 3)
"""Nearest neighbours that are registered: of the picture as it is, and of its mirror image."""

LEAST_CORRELATION = 0.4
"""Correlation of 16 x 16 means from which a neighbour is registered."""


@dataclass(frozen=True)
class _Registration:
    """How pairs are registered.

    Attributes:
        size: Side of both pictures, pixels.
        window: Side of the first picture's middle, pixels.
        scales: Scales of the first picture.
        least: Correlation from which a pair is kept.
    """

    size: int
    window: int
    scales: tuple[float, ...]
    least: float

    def detail(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The (size, size) face less its blurred copy."""
        pixels = face.astype(np.float32)
        return _resized(pixels - cv2.GaussianBlur(pixels, (0, 0), _BLUR), self.size)

    def middles(self, face: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The (window, window) middle of the face's detail at each scale, but for blank ones."""
        detail, middles = self.detail(face), []
        for scale in self.scales:
            scaled = _resized(detail, round(self.size * scale))
            start = (len(scaled) - self.window) // 2
            middles.append(scaled[start : start + self.window, start : start + self.window].copy())
        return [middle for middle in middles if middle.std() >= LEAST_DETAIL]

    def kept(self, pairs: NDArray[np.int64], faces: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The (P, 2) pairs of a face and another one whose details correlate at some scale and place."""
        middles = {row: self.middles(faces[row]) for row in set(pairs[:, 0].tolist())}
        details = {row: self.detail(others[row]) for row in set(pairs[:, 1].tolist())}
        keep = [
            any(
                cv2.matchTemplate(details[other], middle, cv2.TM_CCOEFF_NORMED).max() >= self.least
                for middle in middles[row]
            )
            for row, other in pairs.tolist()
        ]
        return pairs[np.array(keep, bool)]


_SIDE, _BLUR = 16, 3.0
_QUERIES, _CORRELATIONS = 512, 1 << 24
"""Pictures whose neighbours are looked for at once; fewer where all their correlations would take more than 64 MB."""

_REGISTRATIONS = (
    # of FER2013's pairs, all of one photograph and 2 % of the others
    _Registration(24, 17, (1.0, 0.92, 1.09, 0.84, 1.2), least=0.6),
    _Registration(48, 30, (1.0, 0.95, 1.05, 0.9, 1.1, 0.85, 1.18, 0.8, 1.25), least=SAME_PHOTOGRAPH),
)
"""A coarse one and, for what it keeps, a fine one."""


def same_photographs(
    faces: NDArray[np.uint8], others: NDArray[np.uint8] | None = None, label: str = "comparing pictures"
) -> NDArray[np.int64]:
    """Find pairs of pictures that show the same photograph.

    Not every pair is found: of many copies of a picture, some; but a picture with a copy is in a pair, and the copies
    among one set of pictures hang together. The time grows with N times M, or the square of N; besides the pictures it
    takes a kilobyte of memory for each.

    Args:
        faces: (N, 48, 48) uint8 gray.
        others: (M, 48, 48) uint8 gray, to compare with; None for pairs among the faces.
        label: What stands in front of the progress bar.

    Returns:
        (P, 2) int64 indices, of a face and of another one; the first is the smaller one where others is None.
    """
    own = others is None
    descriptors = _descriptors(faces)
    columns = descriptors if others is None else _descriptors(others)
    compared, mirrored = (faces if others is None else others), faces[:, :, ::-1]
    found: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    step = max(1, min(_QUERIES, _CORRELATIONS // max(1, len(columns))))
    with progress_bar(label, len(faces)) as bar:
        for start in range(0, len(faces), step):
            rows, offset = slice(start, start + step), start if own else 0
            for view, count in zip((faces[rows], mirrored[rows]), NEIGHBOURS, strict=True):
                pairs = _neighbours(_descriptors(view), columns[offset:], count, own)
                for registration in _REGISTRATIONS:
                    pairs = registration.kept(pairs, view, compared[offset:])
                found.append(pairs + np.array([start, offset]))
            bar.update(len(faces[rows]))
    return np.unique(np.concatenate(found), axis=0)


def _neighbours(queries: NDArray[np.float32], columns: NDArray[np.float32], count: int, own: bool) -> NDArray[np.int64]:
    """(P, 2) indices of queries and their nearest columns; own: the queries are the first columns, and look onwards."""
    correlations = queries @ columns.T
    each = np.arange(len(queries))
    if own:
        correlations[:, : len(queries)][np.tri(len(queries), dtype=bool)] = -1
    pairs = []
    for _ in range(min(count, len(columns))):
        best = correlations.argmax(axis=1)
        good = correlations[each, best] >= LEAST_CORRELATION
        pairs.append(np.stack([each[good], best[good]], axis=1))
        correlations[each, best] = -1
    return np.concatenate(pairs)


def _descriptors(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) float32 standardized 16 x 16 means, whose products are correlations; 0 where there is no contrast."""
    step, descriptors = FACE_SIZE // _SIDE, np.empty((len(faces), _SIDE**2), np.float32)
    for start in range(0, len(faces), _QUERIES):  # all at once would take the memory of several descriptors
        some = faces[start : start + _QUERIES]
        means = some.reshape(-1, _SIDE, step, _SIDE, step).mean(axis=(2, 4), dtype=np.float32)
        descriptors[start : start + _QUERIES] = _standardized(means.reshape(-1, _SIDE**2), LEAST_CONTRAST * _SIDE)
    return descriptors


def _standardized(values: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """(N, K) rows with mean 0 and length 1; 0 where they are shorter than the least length."""
    centred = values - values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.where(lengths < least, 0, centred / np.maximum(lengths, least)), np.float32)


def _resized(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A square picture of another size: areas averaged where it shrinks, else linearly interpolated."""
    way = cv2.INTER_AREA if side < len(picture) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.float32)
