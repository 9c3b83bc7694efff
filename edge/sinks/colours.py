"""The colour of each class, for drawings, pages and lamps."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255 sRGB, in OpenCV's order; bright enough to carry dark text."""

_USUAL: Mapping[str, Colour] = {
    "angry": (96, 96, 255),
    "disgust": (110, 190, 90),
    "fear": (230, 130, 190),
    "happy": (70, 215, 255),
    "sad": (255, 170, 90),
    "surprise": (80, 165, 255),
    "neutral": (205, 205, 205),
}
"""Of the expressions that most models know, whatever else they know."""

_OTHERS: Sequence[Colour] = (
    (70, 215, 255),
    (255, 170, 90),
    (110, 190, 90),
    (230, 130, 190),
    (80, 165, 255),
    (96, 96, 255),
    (210, 205, 90),
    (205, 205, 205),
    (90, 230, 190),
    (255, 150, 190),
)
"""Of other classes, in this order and again from the first."""


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """The colours of a model's classes, each different as long as there are enough.

    Args:
        classes: (C,) names of the classes.

    Returns:
        Name to blue, green, red, 0..255 sRGB, in the order of the classes.
    """
    return dict(_colours(tuple(classes)))


@lru_cache(8)
def _colours(classes: tuple[str, ...]) -> dict[str, Colour]:
    taken = {_USUAL[name] for name in classes if name in _USUAL}
    free = [colour for colour in _OTHERS if colour not in taken] or list(_OTHERS)
    others = [name for name in classes if name not in _USUAL]
    chosen = {name: free[index % len(free)] for index, name in enumerate(others)}
    return {name: _USUAL.get(name) or chosen[name] for name in classes}
