"""Track numbers: which face of this frame is which of the last, by greedy matching of box overlap and distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fer_edge.edge.faces.boxes import box_iou
from fer_edge.edge.types import TRACK_TIMEOUT, Box, Face

MIN_IOU = 0.2
"""Intersection over union from which two boxes may be one face; after a move by half a width it is 1/3."""

MAX_DISTANCE = 0.6
"""Distance of the centres, in mean box sides, up to which boxes of like size may be one face in any case."""

MAX_GROWTH = 2.0
"""Ratio of areas up to which a box matched by its centre alone may be the same face."""


def match_score(a: Box, b: Box) -> float:
    """How well box b continues box a: 1 + IoU where they overlap enough, 0..1 by their centres alone, 0 not at all.

    Every match by overlap thus comes before any match by distance.
    """
    iou = box_iou(a, b)
    if iou >= MIN_IOU:
        return 1 + iou
    areas = sorted((a.width * a.height, b.width * b.height))
    if areas[0] <= 0 or areas[1] > MAX_GROWTH * areas[0]:
        return 0.0
    side = (a.width + a.height + b.width + b.height) / 4
    dx = (a.x + a.width / 2) - (b.x + b.width / 2)
    dy = (a.y + a.height / 2) - (b.y + b.height / 2)
    return max(0.0, 1 - math.hypot(dx, dy) / (MAX_DISTANCE * side))


@dataclass
class _Track:
    number: int
    box: Box
    last_time: float  # seconds


class Tracker:
    """Gives each face a track number that it keeps while it is detected at least once in `timeout` seconds."""

    def __init__(self, timeout: float = TRACK_TIMEOUT) -> None:
        self.timeout = timeout
        self._tracks: list[_Track] = []
        self._last_number = 0

    def update(self, faces: Sequence[Face], time: float) -> list[Face]:
        """Match the faces of the next frame with the tracks.

        Args:
            faces: The frame's faces.
            time: The frame's time in seconds. Where it jumps back (a file that starts over) all tracks end.

        Returns:
            The same faces in the same order with `track` set; numbers count from 1 and are never reused.
        """
        self._tracks = [track for track in self._tracks if 0 <= time - track.last_time <= self.timeout]
        candidates = [
            (score, index, track)
            for index, face in enumerate(faces)
            for track in self._tracks
            if (score := match_score(track.box, face.box)) > 0
        ]
        candidates.sort(key=lambda candidate: (-candidate[0], candidate[2].number))
        matches: dict[int, _Track] = {}
        matched_numbers: set[int] = set()
        for _, index, track in candidates:
            if index not in matches and track.number not in matched_numbers:
                matches[index] = track
                matched_numbers.add(track.number)
        tracked_faces = []
        for index, face in enumerate(faces):
            if index not in matches:
                self._last_number += 1
                matches[index] = _Track(self._last_number, face.box, time)
                self._tracks.append(matches[index])
            track = matches[index]
            track.box, track.last_time = face.box, time
            tracked_faces.append(replace(face, track=track.number))
        return tracked_faces

    @property
    def tracks(self) -> frozenset[int]:
        """The numbers of all tracks that have not ended; state per face, such as smoothing, is kept for these."""
        return frozenset(track.number for track in self._tracks)
