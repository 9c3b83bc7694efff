"""The colour of each emotion, for drawings and lamps."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "angry": (96, 96, 255),
    "disgust": (110, 190, 90),
    "fear": (230, 130, 190),
    "happy": (70, 215, 255),
    "sad": (255, 170, 90),
    "surprise": (80, 165, 255),
    "neutral": (205, 205, 205),
}
"""Emotion to blue, green, red, 0..255 sRGB, in OpenCV's order; bright enough to carry dark text."""
