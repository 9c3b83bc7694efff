"""Faces followed from frame to frame without the detector, which looks only now and then.

Between two looks each face is found again by normalized cross-correlation of a small patch about the place where its
motion leads: microseconds instead of the detector's milliseconds. The patch is the last look's, so nothing drifts
further than one interval. Where a patch is not found well enough, the detector looks at once; where a look only
confirms what was followed, the next one may wait longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.detector import Detector
from fer_edge.edge.faces.tracker import overlap
from fer_edge.edge.preprocess import reduced, to_gray
from fer_edge.edge.types import Box, Face, Frame

PATCH = 24
"""Side of the patch in pixels, whatever the face's size: its scale is chosen for that."""

SAMPLES = 3
"""Frame pixels across and down of which a patch pixel is the mean, at most: as dear are the largest faces."""

REACH = 12
"""How far from the foreseen place a face is looked for, in patch pixels: half its side, or a third of a small one's.

OpenCV correlates a window of 48 pixels in half the time that one of 44 takes.
"""

WEAK = 0.6
"""Correlation, -1..1, under which a face counts as lost. A still face stays above 0.95, a stranger's is below 0.4."""

DETECT_EVERY = 4
"""Frames from one look to the next."""

PATIENCE = 4
"""An interval grows up to so many times its length, twofold with each look that changes nothing …"""

LONGEST = 0.4
"""… but not beyond so many seconds: as late is a newcomer seen."""

CONFIRMED = 0.6
"""Overlap, 0..1, of a face that was looked at with one that was followed, from which nothing has changed."""


@dataclass(frozen=True)
class _Followed:
    """A face as the last look found it, what was seen there, and how far it has moved since, in pixels."""

    look: Face
    patch: NDArray[np.uint8]  # (PATCH, PATCH)
    corner: tuple[int, int]  # the patch's place in the frame of the look
    scale: int  # frame pixels a patch pixel
    moved: tuple[float, float] = (0.0, 0.0)
    motion: tuple[float, float] = (0.0, 0.0)  # a frame

    @property
    def face(self) -> Face:
        """The face where it is now."""
        (along, down), box = self.moved, self.look.box
        eyes = self.look.eyes and _shifted_eyes(self.look.eyes, along, down)
        return replace(self.look, box=replace(box, x=round(box.x + along), y=round(box.y + down)), eyes=eyes)


class PatchFollower:
    """A detector that asks another one every `every` frames and follows its faces in between.

    Where nothing changes it asks up to PATIENCE times less often, but for every = 1, which is always. While no face is
    known every frame is looked at: somebody may come. Frames must come in order, from one scene.
    looks: how often the other detector was asked.
    """

    def __init__(self, detector: Detector, every: int = DETECT_EVERY) -> None:
        self.detector, self.every = detector, every
        self._base_interval = every
        self.looks = 0
        self._known: list[_Followed] = []
        self._since, self._looked, self._patience = 0, 0.0, 1
        self._shape: tuple[int, ...] = ()

    @property
    def description(self) -> str:
        """The other detector, and how often it looks."""
        often = f", every {self.every} to {PATIENCE * self.every} frames" if self.every > 1 else ""
        return f"{self.detector.description}{often}"

    def detect(self, frame: Frame) -> list[Face]:
        """The frame's faces, largest first, as the detector found them or moved to where they are now."""
        self._since += 1
        expected = not self._known or frame.pixels.shape != self._shape or self._due(frame)
        if not expected:
            found = [_found(frame, followed) for followed in self._known]
            if all(found):
                self._known = [followed for followed in found if followed]
                return [followed.face for followed in self._known]
        return self._look(frame, expected)

    def set_load(self, level: int) -> str:
        """Double the detector interval with each load level; describes the new one."""
        self.every = self._base_interval * 2**level
        return f"detecting every {self.every} frames"

    def _due(self, frame: Frame) -> bool:
        late = not 0 <= frame.time - self._looked < LONGEST
        return self._since >= (self.every if late or self.every == 1 else self.every * self._patience)

    def _look(self, frame: Frame, expected: bool) -> list[Face]:
        faces = self.detector.detect(frame)
        self.looks += 1
        before = self._known
        self._patience = min(PATIENCE, 2 * self._patience) if expected and _confirmed(before, faces) else 1
        self._known = [known for face in faces if (known := _learned(frame, face, before)) is not None]
        if len(self._known) < len(faces):  # one that cannot be followed must be looked at
            self._known = []
        self._since, self._looked, self._shape = 0, frame.time, frame.pixels.shape
        return faces


def _confirmed(before: Sequence[_Followed], faces: Sequence[Face]) -> bool:
    """Whether each face that was followed is where it was thought, and no other is there."""
    boxes = [face.box for face in faces]
    there = [max((overlap(each.face.box, box) for box in boxes), default=0.0) >= CONFIRMED for each in before]
    return len(before) == len(faces) and all(there)


def _learned(frame: Frame, face: Face, before: Sequence[_Followed]) -> _Followed | None:
    """A face that was just looked at, its motion that of the one known nearest to it; None where too little shows."""
    box = face.box
    scale = _scale((box.width + box.height) / 2)
    side = PATCH * scale
    corner = round(box.x + (box.width - side) / 2), round(box.y + (box.height - side) / 2)
    patch = _sampled(frame, *corner, scale, PATCH)
    if patch is None:
        return None
    known = _Followed(face, patch, corner, scale)
    near = [(gap, each.motion) for each in before if (gap := _gap(each.face.box, box)) < side / 2]
    return replace(known, motion=min(near)[1]) if near else known


def _found(frame: Frame, known: _Followed) -> _Followed | None:
    """The face where it is in this frame; None where it is not found well enough."""
    foreseen = (known.moved[0] + known.motion[0], known.moved[1] + known.motion[1])
    left, top = (round(at + by - REACH * known.scale) for at, by in zip(known.corner, foreseen, strict=True))
    window = _sampled(frame, left, top, known.scale, PATCH + 2 * REACH)
    if window is None:
        return None
    match = cv2.matchTemplate(window, known.patch, cv2.TM_CCOEFF_NORMED)  # (2 REACH + 1, 2 REACH + 1)
    _, peak, _, (u, v) = cv2.minMaxLoc(match)
    if not peak >= WEAK:  # not a number where a patch is all one gray
        return None
    along = left + (u + _between(match[v], u)) * known.scale - known.corner[0]
    down = top + (v + _between(match[:, u], v)) * known.scale - known.corner[1]
    # half of what was known and half of what was seen: steady under the jitter of one frame
    motion = (known.motion[0] + along - known.moved[0]) / 2, (known.motion[1] + down - known.moved[1]) / 2
    return replace(known, moved=(along, down), motion=motion)


def _between(row: NDArray[Any], peak: int) -> float:
    """Where between the samples a parabola through the peak and its neighbours has its top, -0.5..0.5."""
    if not 0 < peak < len(row) - 1:
        return 0.0
    before, here, after = (float(value) for value in row[peak - 1 : peak + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _scale(side: float) -> int:
    """How many frame pixels a patch pixel stands for: more than SAMPLES are even, so that two of them are one step."""
    whole = max(1, int(side / PATCH + 0.3))  # rather smaller than the face: what is beside it does not move with it
    return whole if whole <= SAMPLES else whole - whole % 2


def _sampled(frame: Frame, left: int, top: int, scale: int, count: int) -> NDArray[np.uint8] | None:
    """(count, count) gray means over a square of the frame, whose border is repeated; None where most is outside."""
    side = scale * count
    for start, whole in zip((top, left), frame.pixels.shape, strict=False):
        if min(whole, start + side) - max(0, start) < side / 4:
            return None
    samples = scale if scale <= SAMPLES else 2
    step, size = scale // samples, samples * count
    # whole steps: every sample is a pixel, and a motion of one step moves them all by one
    back = np.array([[step, 0, left + step // 2], [0, step, top + step // 2]], np.float64)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    few = cv2.warpAffine(frame.pixels, back, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return reduced(to_gray(np.asarray(few, np.uint8)), (count, count))


def _gap(a: Box, b: Box) -> float:
    """The distance of two boxes' centres, pixels."""
    return float(np.hypot(a.x - b.x + (a.width - b.width) / 2, a.y - b.y + (a.height - b.height) / 2))


def _shifted_eyes(
    eyes: tuple[tuple[float, float], tuple[float, float]], along: float, down: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    (x0, y0), (x1, y1) = eyes
    return (x0 + along, y0 + down), (x1 + along, y1 + down)
