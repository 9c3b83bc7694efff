"""Frames and predictions for tests of sinks."""

from __future__ import annotations

import numpy as np

from fer_edge.edge.types import Box, Face, Frame, Prediction

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Of the shipped models."""

GRAY = np.full((240, 320, 3), 90, np.uint8)


def face(emotion: str, track: int | None = 1, x: int = 40, width: int = 60) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[CLASSES.index(emotion)] = 0.88
    return Prediction(Face(Box(x, 50, width, 70), 0.9, None, track), scores, CLASSES)


def at(seconds: float) -> Frame:
    return Frame(GRAY, round(10 * seconds), seconds)
