"""Which face of this frame is which of the last: greedy matching by overlap, nothing learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fer_edge.edge.types import Box, Face

MIN_OVERLAP = 0.2
"""Intersection over union from which two boxes may be one face; after a move by half a width it is 1/3."""

MAX_DISTANCE = 0.6
"""Distance of the centres, in mean box sides, up to which boxes of like size may be one face in any case."""

MAX_GROWTH = 2.0
"""Ratio of areas up to which a box matched by its centre alone may be the same face."""

TRACK_TIMEOUT = 1.0
"""Seconds after which a track that no face continued is given up."""


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1; 0 for boxes without area."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(0, width) * max(0, height)
    union = a.width * a.height + b.width * b.height - shared
    return shared / union if union > 0 else 0.0


def nearness(a: Box, b: Box) -> float:
    """How well b continues a: 1 + overlap where that is enough, up to 1 by centres alone, 0 for not at all.

    So every match by overlap goes before any match by distance.
    """
    shared = overlap(a, b)
    if shared >= MIN_OVERLAP:
        return 1 + shared
    areas = sorted((a.width * a.height, b.width * b.height))
    if areas[0] <= 0 or areas[1] > MAX_GROWTH * areas[0]:
        return 0.0
    side = (a.width + a.height + b.width + b.height) / 4
    along = (a.x + a.width / 2) - (b.x + b.width / 2)
    down = (a.y + a.height / 2) - (b.y + b.height / 2)
    return max(0.0, 1 - math.hypot(along, down) / (MAX_DISTANCE * side))


@dataclass
class _Track:
    number: int
    box: Box
    seen: float


class Tracker:
    """Gives each face a number that stays with it while it is seen at least once in `forget` seconds."""

    def __init__(self, forget: float = TRACK_TIMEOUT) -> None:
        self.forget = forget
        self._tracks: list[_Track] = []
        self._last = 0

    def update(self, faces: Sequence[Face], time: float) -> list[Face]:
        """The same faces in the same order with `track` set; numbers count from 1 and are never used again.

        time: seconds, not decreasing; where it jumps back (a file that starts over) all tracks are forgotten.
        """
        self._tracks = [track for track in self._tracks if 0 <= time - track.seen <= self.forget]
        pairs = [
            (near, index, track)
            for index, face in enumerate(faces)
            for track in self._tracks
            if (near := nearness(track.box, face.box)) > 0
        ]
        pairs.sort(key=lambda pair: (-pair[0], pair[2].number))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, index, track in pairs:
            if index not in matched and track.number not in taken:
                matched[index] = track
                taken.add(track.number)
        numbered = []
        for index, face in enumerate(faces):
            if index not in matched:
                self._last += 1
                matched[index] = _Track(self._last, face.box, time)
                self._tracks.append(matched[index])
            track = matched[index]
            track.box, track.seen = face.box, time
            numbered.append(replace(face, track=track.number))
        return numbered

    @property
    def tracks(self) -> frozenset[int]:
        """The numbers still remembered: what per-face state (a smoother's history) may be kept for."""
        return frozenset(track.number for track in self._tracks)
