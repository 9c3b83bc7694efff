"""The colour of each emotion, wherever one is drawn or lit."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "angry": (96, 96, 255),
    "disgust": (110, 190, 90),
    "fear": (230, 130, 190),
    "happy": (70, 215, 255),
    "sad": (255, 170, 90),
    "surprise": (80, 165, 255),
    "neutral": (205, 205, 205),
}
"""Blue, green, red, 0..255 of sRGB, as OpenCV has them; bright enough to carry dark text."""
