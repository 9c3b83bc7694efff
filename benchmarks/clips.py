"""Clips of several moving faces, composed from the one portrait that comes with the project."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.record import ResultError
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.types import Box, Frame

PORTRAIT = Path(__file__).resolve().parent / "astronaut.jpg"
RATE = 25.0  # frames/s

HEAD = 2.0
"""Side of the head that is cut out, in sides of the detector's box."""


NOISE = 3.0
"""Standard deviation of the noise in every frame, gray levels, as a camera has it indoors: nothing repeats exactly."""

CODEC = "FFVH"
"""FFmpeg's lossless Huffman coding of YUV 4:2:0: what looks better for its size smooths the noise away."""


def head(portrait: Path = PORTRAIT) -> NDArray[np.uint8]:
    """The largest face of a portrait with some room about it, square, (S, S, 3); ResultError where there is none."""
    pixels = cv2.imread(str(portrait))
    if pixels is None:
        raise ResultError(f"{portrait} cannot be read; expected a picture of a face")
    faces = open_detector().detect(Frame(np.asarray(pixels, np.uint8)))
    if not faces:
        raise ResultError(f"{portrait}: no face was found; expected a picture of one")
    return _about(np.asarray(pixels, np.uint8), faces[0].box)


def _about(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    side = round(HEAD * max(box.width, box.height))
    left, top = box.x + (box.width - side) // 2, box.y + (box.height - side) // 2 - box.height // 8
    left, top = max(0, left), max(0, top)
    return pixels[top : top + side, left : left + side]


def frames(face: NDArray[np.uint8], count: int, faces: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """count noisy pictures (height, width, 3) of so many swaying faces that end where they began."""
    columns = max(1, min(faces, math.ceil(math.sqrt(faces * width / height))))
    rows = math.ceil(faces / columns)
    cell_width, cell_height = width / columns, height / rows
    side = 0.8 * min(cell_width, cell_height)
    spread = cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA)
    behind = cv2.GaussianBlur(spread, (0, 0), sigmaX=width / 12)
    rng = np.random.default_rng(0)
    for step in range(count):
        picture = behind.copy()
        for index in range(faces):
            phase = 2 * math.pi * (step / count * (1 + index % 3) + index / faces)
            x = (index % columns + 0.5) * cell_width + 0.08 * cell_width * math.cos(phase)
            y = (index // columns + 0.5) * cell_height + 0.06 * cell_height * math.sin(2 * phase)
            scale = side / face.shape[0] * (1 + 0.06 * math.sin(phase))
            matrix = cv2.getRotationMatrix2D((face.shape[1] / 2, face.shape[0] / 2), 6 * math.sin(phase), scale)
            matrix[:, 2] += x - face.shape[1] / 2, y - face.shape[0] / 2
            cv2.warpAffine(
                face, matrix, (width, height), dst=picture, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
            )
        noisy = picture + NOISE * rng.standard_normal(picture.shape, np.float32)
        yield np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def write_clip(path: Path, count: int, faces: int, width: int, height: int, portrait: Path = PORTRAIT) -> Path:
    """Write such a clip as .avi; ResultError where that cannot be done."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), RATE, (width, height))
    if not writer.isOpened():
        raise ResultError(f"{path} cannot be written; expected an .avi file in a folder with free space")
    try:
        for picture in frames(head(portrait), count, faces, width, height):
            writer.write(picture)
    finally:
        writer.release()
    return path
