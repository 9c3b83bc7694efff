"""Draws boxes, labels and score bars over a frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.sinks.colours import class_colours
from fer_edge.edge.types import Box, Frame, Prediction, expect, expect_all

DARK, LIGHT = (24, 24, 24), (240, 240, 240)
FONT = cv2.FONT_HERSHEY_SIMPLEX

PANELS = 3
"""Number of faces, the largest ones, that get score bars; more would cover the picture."""

BARS = 10
"""Score bars of a face; of more classes, the most probable ones have bars."""


def annotate(frame: Frame, predictions: Sequence[Prediction], panels: int = PANELS) -> NDArray[np.uint8]:
    """Draw the predictions over a copy of the frame: a box and a label for every face, score bars for the largest.

    Everything is sized by the frame's height: readable at 320x240, not clumsy at 1080p.

    Args:
        frame: The frame, colour or gray; it is not changed.
        predictions: Its faces.
        panels: Number of faces that get score bars.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        DataError: An argument is of another type.
    """
    pixels = expect(frame, Frame, "Frame(pixels) makes one").pixels
    predictions = expect_all(predictions, Prediction, "Pipeline.process gives them")
    canvas: NDArray[np.uint8] = np.array(pixels, order="C")
    if pixels.ndim == 2:
        canvas = np.repeat(pixels[..., None], 3, axis=-1)
    by_size = sorted(predictions, key=lambda p: p.face.box.width * p.face.box.height)
    for rank, prediction in enumerate(by_size):  # the largest last, on top
        _draw_box(canvas, prediction)
        if rank >= len(by_size) - panels:
            _draw_bars(canvas, prediction)
    for prediction in by_size:
        _draw_label(canvas, prediction)
    return canvas


def _text_height(canvas: NDArray[np.uint8]) -> int:
    """Height of capital letters, pixels."""
    return max(7, int(0.023 * canvas.shape[0] + 0.5))


def _scale(height: int) -> float:
    """The font scale for capital letters of this height, pixels."""
    return height / float(cv2.getTextSize("H", FONT, 1.0, 1)[0][1])


def _text(canvas: NDArray[np.uint8], text: str, left: int, base: int, height: int, colour: Sequence[int]) -> None:
    weight = max(1, round(height / 11))
    cv2.putText(canvas, text, (left, base), FONT, _scale(height), tuple(colour), weight, cv2.LINE_AA)


def _text_width(text: str, height: int) -> int:
    return int(cv2.getTextSize(text, FONT, _scale(height), max(1, round(height / 11)))[0][0])


def _fill(canvas: NDArray[np.uint8], box: Box, colour: Sequence[int], opacity: float = 1.0) -> None:
    """Blend a rectangle into the canvas, clipped at its edges."""
    rows = slice(max(0, box.y), max(0, box.y + box.height))
    columns = slice(max(0, box.x), max(0, box.x + box.width))
    area = canvas[rows, columns]
    area[:] = (area * (1 - opacity) + np.asarray(colour) * opacity).astype(np.uint8)


def _draw_box(canvas: NDArray[np.uint8], prediction: Prediction) -> None:
    box, line = prediction.face.box, max(1, round(canvas.shape[0] / 300))
    corners = (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1)
    cv2.rectangle(canvas, *corners, DARK, line + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, *corners, _colour(prediction), line, cv2.LINE_AA)


def _colour(prediction: Prediction) -> Sequence[int]:
    return class_colours(prediction.classes)[prediction.emotion]


def _draw_label(canvas: NDArray[np.uint8], prediction: Prediction) -> None:
    """A coloured bar with emotion and confidence above the box, or inside it at the frame's upper edge."""
    box, height = prediction.face.box, _text_height(canvas)
    text = f"{prediction.emotion} {prediction.confidence:.0%}"
    if prediction.face.track is not None:
        text = f"#{prediction.face.track} {text}"
    pad = max(3, height // 2)
    width, tall = _text_width(text, height) + 2 * pad, height + 2 * pad
    left = min(max(0, box.x), max(0, canvas.shape[1] - width))
    top = box.y - tall if box.y >= tall else max(0, box.y)
    top = min(top, canvas.shape[0] - tall)
    _fill(canvas, Box(left, top, width, tall), _colour(prediction), 0.9)
    _text(canvas, text, left + pad, top + pad + height, height, DARK)


def _draw_bars(canvas: NDArray[np.uint8], prediction: Prediction) -> None:
    """Score bars on a dark panel to the right of the box, else to its left, else at the frame's right edge."""
    height = max(6, round(0.8 * _text_height(canvas)))
    row, pad = round(1.75 * height), max(3, height // 2)
    rows = sorted(np.argsort(-prediction.scores, kind="stable")[:BARS])  # in the order of the classes
    scores = {prediction.classes[index]: float(prediction.scores[index]) for index in rows}
    names = max(_text_width(name, height) for name in scores)
    bar = 5 * height
    width, tall = names + bar + 3 * pad, len(scores) * row + pad
    if tall > canvas.shape[0] or width > canvas.shape[1] // 2:
        return
    box = prediction.face.box
    left = box.x + box.width + pad
    if left + width > canvas.shape[1]:
        left = box.x - width - pad
    left = left if left >= 0 else canvas.shape[1] - width
    top = min(max(0, box.y), canvas.shape[0] - tall)
    _fill(canvas, Box(left, top, width, tall), DARK, 0.65)
    colours = class_colours(prediction.classes)
    for index, (name, score) in enumerate(scores.items()):
        y = top + pad + index * row
        colour = colours[name] if name == prediction.emotion else LIGHT
        _text(canvas, name, left + pad, y + height - height // 8, height, colour)
        start = left + names + 2 * pad
        _fill(canvas, Box(start, y, bar, height), LIGHT, 0.15)
        _fill(canvas, Box(start, y, round(bar * score), height), colours[name])
