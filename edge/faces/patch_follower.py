"""Patch tracking: faces are followed from frame to frame, and the detector runs only at intervals.

Between two detections each face is located by normalized cross-correlation of a small patch around the place that its
motion predicts, which takes microseconds instead of the detector's milliseconds. The patch is from the last detection,
so errors do not add up over more than one interval. Where a patch does not match well enough, the detector runs at
once; where a detection only confirms the tracked faces, the next one may come later. With a motion gate, it comes about
a second later in a still scene, with or without faces, and at once when something else than a tracked face moves.
"""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge.edge.faces.boxes import box_iou
from fer_edge.edge.faces.detector import Detector
from fer_edge.edge.faces.motion_gate import Motion, MotionGate
from fer_edge.edge.faces.patch import TrackedFace, start_tracking, track
from fer_edge.edge.types import Face, Frame

MAX_INTERVAL_FACTOR = 4
"""The detector interval doubles with each detection that changes nothing, up to this many times its length …"""

MAX_INTERVAL_SECONDS = 0.4
"""… but it grows only within this time, which bounds how late a new face is detected."""

MAX_STILL_SECONDS = 0.95
"""Longest time between two detections in a still scene, which bounds how late a face that fades in slowly is found."""

MAX_MOTION_SECONDS = 0.19
"""Longest time between two detections while something else than a tracked face moves: a new face is found in 0.2 s."""

SLOW_RATE = 21.0
"""Frame rate below which the detector interval does not get longer in seconds while something moves, frames/s."""

WATCH_SECONDS = 0.13
"""Least time between two frames that the motion gate compares while faces are tracked, seconds."""

DEFAULT_RATE = 30.0
"""Frames per second of a source whose frames all have one time."""

MIN_CONFIRMING_IOU = 0.6
"""Intersection over union, 0..1, from which a detected face confirms a tracked one."""


class PatchFollower:
    """A detector that runs another one at intervals and tracks its faces by their patches in between.

    While nothing changes the interval grows up to MAX_INTERVAL_FACTOR times its length, or with a motion gate to
    MAX_STILL_SECONDS, unless it is one frame. Without a gate, the detector runs on every frame while there is no face.
    Frames must come in order, from one scene.

    Attributes:
        detector: The detector that it runs.
        detections: Number of frames on which the detector has run.
    """

    def __init__(self, detector: Detector, interval: int, gate: MotionGate | None = None) -> None:
        """Make a follower that has seen no frame.

        Args:
            detector: The detector to run.
            interval: Frames between detections; 1 for every frame.
            gate: Tells whether the scene has changed; None to ignore that.
        """
        self.detector = detector
        self.detections = 0
        self._base_interval, self._load = interval, 1
        self._gate, self._motion, self._watch_time = gate, Motion.SCENE, 0.0
        self._tracked: list[TrackedFace] = []
        self._frames_since, self._detection_time, self._interval_factor = 0, 0.0, 1
        self._frame_size = (0, 0)
        self._untracked = self._detected_in_motion = False

    @property
    def interval(self) -> int:
        """Frames between detections, at the load level."""
        return self._base_interval * self._load

    @property
    def description(self) -> str:
        """The detector's name and its interval."""
        if self.interval == 1:
            return self.detector.description
        longest = f"{MAX_INTERVAL_FACTOR * self.interval} frames" + (f", {self._still}" if self._gate else "")
        return f"{self.detector.description}, every {self.interval} to {longest}"

    def detect(self, frame: Frame) -> list[Face]:
        """Find the frame's faces, by detection or by tracking.

        Args:
            frame: The next frame of the scene.

        Returns:
            Its faces, largest first as of the last detection, in pixels of the frame.
        """
        self._frames_since += 1
        expected = self._is_due(frame)
        if not expected:
            tracked = [track(frame, face) for face in self._tracked]
            if all(tracked):
                self._tracked = [face for face in tracked if face]
                return [face.face for face in self._tracked]
        return self._detect(frame, expected)

    def set_load(self, level: int) -> str:
        """Set the load level: each level doubles the detector interval, in a still scene too.

        Args:
            level: 0 for the normal interval.

        Returns:
            The new interval in words.
        """
        self._load = 2**level
        every = f"detecting every {self.interval} frames"
        return f"{every}, {self._still}" if self._gate and self.interval > 1 else every

    def set_interval(self, interval: int) -> None:
        """Change the detector interval, frames; any thread may call it."""
        self._base_interval = interval

    def detect_next(self) -> None:
        """Detect faces in the next frame, which does not follow the last; what was tracked is forgotten."""
        self._tracked, self._frame_size = [], (0, 0)

    @property
    def _still_seconds(self) -> float:
        return MAX_STILL_SECONDS * self._load

    @property
    def _still(self) -> str:
        return f"every {self._still_seconds:.1f} s in a still scene"

    def _is_due(self, frame: Frame) -> bool:
        """Whether the detector shall run, even if all tracked faces are found."""
        motion = self._watch(frame) if self._gate and self.interval > 1 else None
        frames, elapsed = self._frames_since, frame.time - self._detection_time
        unknown = frame.size != self._frame_size or self._untracked or elapsed < 0
        if unknown or (motion is None and not self._tracked):
            return True
        if motion is Motion.NONE:
            still = (elapsed or frames / DEFAULT_RATE) >= self._still_seconds
            return still or frames >= self.interval * self._interval_factor
        if motion is Motion.SCENE:
            late = elapsed >= max(MAX_MOTION_SECONDS, self.interval / SLOW_RATE)
            if late or not self._detected_in_motion:
                return True
        late = elapsed >= MAX_INTERVAL_SECONDS
        factor = 1 if late or self.interval == 1 else min(MAX_INTERVAL_FACTOR, self._interval_factor)
        return frames >= self.interval * factor

    def _watch(self, frame: Frame) -> Motion:
        """Where the scene moves, by the newest frame that the motion gate has compared."""
        assert self._gate
        if not (self._tracked and 0 < frame.time - self._watch_time < WATCH_SECONDS):
            self._watch_time = frame.time
            self._motion = self._gate.motion(frame, [each.face.box for each in self._tracked])
        return self._motion

    def _detect(self, frame: Frame, expected: bool) -> list[Face]:
        faces = self.detector.detect(frame)
        self.detections += 1
        confirmed = expected and _confirms(faces, self._tracked)
        still = self._gate is not None and self._motion is Motion.NONE
        factor = 2 * self._interval_factor if confirmed else 1
        self._interval_factor = factor if still else min(MAX_INTERVAL_FACTOR, factor)
        tracked = [start_tracking(frame, face, self._tracked) for face in faces]
        # a face that cannot be tracked must be detected in the next frame again
        self._untracked = not all(tracked)
        self._tracked = [] if self._untracked else [face for face in tracked if face]
        self._frames_since, self._detection_time, self._frame_size = 0, frame.time, frame.size
        if self._gate:
            self._detected_in_motion = self._motion is Motion.SCENE
            self._gate.accept()
        return faces


def _confirms(faces: Sequence[Face], tracked: Sequence[TrackedFace]) -> bool:
    """Whether the detected faces are where the tracked ones are, and no others."""
    boxes = [face.box for face in faces]
    best = [max((box_iou(each.face.box, box) for box in boxes), default=0.0) for each in tracked]
    return len(tracked) == len(faces) and all(iou >= MIN_CONFIRMING_IOU for iou in best)
