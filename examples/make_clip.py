"""Make a short clip of a moving face from a still portrait, by a slow pan, zoom and rotation.

python examples/make_clip.py clip.mp4
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PORTRAIT = Path(__file__).resolve().parents[1] / "benchmarks" / "astronaut.jpg"
WIDTH, HEIGHT = 640, 480  # pixels
RATE = 25.0  # frames/s


def background(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The portrait stretched to the frame and blurred beyond recognition: (480, 640, 3) uint8."""
    spread = cv2.resize(portrait, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(spread, (0, 0), sigmaX=40), np.uint8)


def frames(portrait: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield count frames (480, 640, 3) uint8 BGR, of one full period, so that the clip can be looped."""
    height, width = portrait.shape[:2]
    behind = background(portrait)
    for phase in 2 * np.pi * np.arange(count) / count:
        scale = HEIGHT / height * (1.0 + 0.2 * np.sin(phase))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 8.0 * np.sin(2 * phase), scale)  # degrees
        matrix[:, 2] += (WIDTH - width) / 2 + 90 * np.cos(phase), (HEIGHT - height) / 2 + 20 * np.sin(phase)
        frame = behind.copy()
        cv2.warpAffine(
            portrait, matrix, (WIDTH, HEIGHT), dst=frame, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        yield frame


def write(clip: Path, portrait: Path = PORTRAIT, seconds: float = 4.0) -> Path:
    """Write the clip and return its path; SystemExit, with one line, if a file cannot be read or written."""
    picture = cv2.imread(str(portrait))
    if picture is None:
        raise SystemExit(f"{portrait} cannot be read; expected a picture of a face")
    clip.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SystemExit(f"{clip} cannot be written; expected a .mp4 file in a folder with free space")
    try:
        for frame in frames(np.asarray(picture, np.uint8), round(seconds * RATE)):
            writer.write(frame)
    finally:
        writer.release()
    return clip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a short clip of a moving face.")
    parser.add_argument("clip", type=Path, help="the .mp4 file to write")
    parser.add_argument("--portrait", type=Path, default=PORTRAIT, help="a picture of a face")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the clip [default: %(default)s]")
    options = parser.parse_args()
    print(write(options.clip, options.portrait, options.seconds))
