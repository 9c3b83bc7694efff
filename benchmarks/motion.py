"""Scene-change tests on still scenes and with faces that come: why edge/faces/motion_gate.py is as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures import rooms
from fer_edge.benchmarks.fixtures.clips import head
from fer_edge.benchmarks.fixtures.rooms import Camera, Change
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.faces.motion_gate import BLOCK, MIN_CHANGE, MotionGate, read_cells
from fer_edge.edge.terminal import track
from fer_edge.edge.types import Frame

WARM_UP = 3.0
"""Seconds of each scene before its triggers count and its face comes."""

STILL_SECONDS = 6.0
"""Seconds of a still scene that count."""

FOUND_WITHIN = 0.2
"""Seconds in which a face must trigger, from when it is all there."""

FALSE_SHARE = 0.005
"""Share of the frames of still scenes in steady light that may trigger: it sets the other methods' thresholds."""

STILL: dict[str, tuple[Camera, tuple[Change, ...]]] = {
    "noise 2": (Camera(noise=2), ()),
    "noise 8": (Camera(noise=8), ()),
    "JPEG 70": (Camera(jpeg=70), ()),
    "exposure ±30 % in 8 s": (Camera(), (rooms.brightness(0.3, 8),)),
    "exposure steps of 15 %": (Camera(), (rooms.step(0.15, 2),)),
    "brightness ±20 in 4 s": (Camera(), (rooms.offset(20, 4),)),
    "white balance ±15 % in 4 s": (Camera(), (rooms.white_balance(0.15, 4),)),
    "50 Hz at 30 fps": (Camera(), (rooms.mains_flicker(0.08, 50),)),
    "60 Hz at 25 fps": (Camera(rate=25), (rooms.mains_flicker(0.08, 60),)),
    "drift of 2 px/s": (Camera(), (rooms.drift(2),)),
    "5 fps": (Camera(rate=5), ()),
    "1280x720": (Camera(1280, 720), ()),
}
"""Scenes without anything to detect."""

COMING: dict[str, tuple[Camera, dict[str, float], tuple[Change, ...]]] = {
    "24 px": (Camera(), {"size": 24}, ()),
    "24 px, noise 8": (Camera(noise=8), {"size": 24}, ()),
    "16 px": (Camera(), {"size": 16}, ()),
    "48 px in 1280x720": (Camera(1280, 720), {"size": 48}, ()),
    "24 px, JPEG 70, flicker": (Camera(jpeg=70), {"size": 24}, (rooms.mains_flicker(0.08, 50),)),
    "60 px, moves in at 150 px/s": (Camera(), {"size": 60, "velocity": 150}, ()),
    "40 px, fades in for 1 s": (Camera(), {"size": 40, "fade": 1}, ()),
    "24 px, exposure ±30 %": (Camera(), {"size": 24}, (rooms.brightness(0.3, 8),)),
}
"""Scenes in which a face comes after WARM_UP, at random places."""

Score = Callable[[Frame], float]
"""How much the next frame of a scene has changed, in a method's own unit."""


def _motion_gate() -> Score:
    """The motion gate, with a detection after every change and once a second."""
    gate, last_detection = MotionGate(), 0.0

    def score(frame: Frame) -> float:
        nonlocal last_detection
        gate.motion(frame)
        if frame.time - last_detection >= 1 or gate.change >= MIN_CHANGE:
            gate.accept()
            last_detection = frame.time
        return gate.change

    return score


def _difference(seconds: float) -> Score:
    """Largest mean absolute difference of a block from a running mean; from the frame before at 0 seconds."""
    reference: NDArray[np.float32] | None = None
    time = 0.0

    def score(frame: Frame) -> float:
        nonlocal reference, time
        cells = read_cells(frame.pixels)
        reference = cells.copy() if reference is None else reference
        change = cv2.boxFilter(cv2.absdiff(cells, reference), -1, (BLOCK, BLOCK))
        rate = 1 - np.exp((time - frame.time) / seconds) if seconds else 1.0
        cv2.accumulateWeighted(cells, reference, rate)
        time = frame.time
        return float(change.max())

    return score


def _foreground(subtractor: cv2.BackgroundSubtractor) -> Score:
    """Largest share of foreground, 0..1, in a block of one of OpenCV's background subtractions."""

    def score(frame: Frame) -> float:
        foreground = subtractor.apply(np.rint(read_cells(frame.pixels)).astype(np.uint8))
        return float(cv2.boxFilter(foreground.astype(np.float32) / 255, -1, (BLOCK, BLOCK)).max())

    return score


METHODS: dict[str, Callable[[], Score]] = {
    "motion gate": _motion_gate,
    "last frame": lambda: _difference(0),
    "running mean": lambda: _difference(1.0),
    "MOG2": lambda: _foreground(cv2.createBackgroundSubtractorMOG2(detectShadows=False)),
    "KNN": lambda: _foreground(cv2.createBackgroundSubtractorKNN(detectShadows=False)),
}


@click.command()
@click.option("--places", type=IntRange(1), default=20, metavar="N", help="Random places of each face.")
def motion(places: int) -> None:
    """Compare the motion gate with OpenCV's background subtraction and with frame differences.

    All of them see the same small picture and report the block that has changed most. Still scenes: frames that
    trigger. Faces: those that trigger within 0.2 s. The motion gate has its own threshold, each other method the one at
    which 0.5 % of the still frames in steady light trigger.
    """
    still: dict[str, dict[str, NDArray[np.float64]]] = {}
    milliseconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for name, (camera, changes) in track(STILL.items(), "still scenes", len(STILL)):
        still[name] = _scores(rooms.frames(camera, WARM_UP + STILL_SECONDS, changes), milliseconds)
    steady = [scores for name, scores in still.items() if not STILL[name][1]]
    pooled = {name: np.concatenate([scores[name] for scores in steady]) for name in METHODS}
    thresholds = {name: float(np.quantile(values, 1 - FALSE_SHARE)) for name, values in pooled.items()}
    thresholds["motion gate"] = MIN_CHANGE
    click.echo(_row("", METHODS))
    click.echo(_row("threshold", (f"{value:.1f}" for value in thresholds.values())))
    click.echo(_row("microseconds a frame", (f"{1000 * np.median(each):.0f}" for each in milliseconds.values())))
    for name, scores in still.items():
        click.echo(_row(name, (_percent(scores[each] > thresholds[each]) for each in METHODS)))
    faces = track(((name, place) for name in COMING for place in range(places)), "faces", places * len(COMING))
    found: dict[str, list[list[bool]]] = {name: [] for name in COMING}
    portrait = head()
    for name, place in faces:
        best = {each: scores.max() for each, scores in _coming(portrait, name, place).items()}
        found[name].append([best[each] > thresholds[each] for each in METHODS])
    for name, rows in found.items():
        click.echo(_row(name, (_percent(column) for column in np.transpose(rows))))


def _coming(portrait: NDArray[np.uint8], name: str, place: int) -> dict[str, NDArray[np.float64]]:
    """Each method's scores from when a face comes until it must have triggered."""
    camera, face, changes = COMING[name]
    x, y = np.random.default_rng(place).uniform(0.15, 0.85, 2)
    seconds = face.get("fade", 0.0) + (2 * face["size"] / face["velocity"] if "velocity" in face else 0.0)
    coming = rooms.face(portrait, face["size"], (x, y), WARM_UP, face.get("fade", 0.0), face.get("velocity", 0.0))
    return _scores(rooms.frames(camera, WARM_UP + seconds + FOUND_WITHIN, (coming, *changes), place))


def _scores(
    frames: Iterator[Frame], milliseconds: dict[str, list[float]] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Each method's scores after WARM_UP; the time of each call is added to `milliseconds`."""
    methods = {name: make() for name, make in METHODS.items()}
    scores: dict[str, list[float]] = {name: [] for name in METHODS}
    for frame in frames:
        for name, method in methods.items():
            start = perf_counter()
            value = method(frame)
            if milliseconds is not None:
                milliseconds[name].append(1000 * (perf_counter() - start))
            if frame.time >= WARM_UP:
                scores[name].append(value)
    return {name: np.array(values) for name, values in scores.items()}


def _percent(triggered: NDArray[np.bool_]) -> str:
    return f"{100 * triggered.mean():.1f} %"


def _row(name: str, values: Iterable[str]) -> str:
    return f"{name:<28}" + "".join(f"{value:>14}" for value in values)
