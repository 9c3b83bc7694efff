"""Checks of what a caller of the library passes: one error instead of one from deep inside, or a wrong answer."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ConfigError, DataError, shortened

Kind = TypeVar("Kind")

MIN_CLASSES, MAX_CLASSES = 2, 100
"""Number of classes that a data set or a model may have."""

MAX_CLASS_NAME = 64
"""Characters of a class's name."""

PIXELS = "expected uint8 pixels, (H, W, 3) in the order blue, green, red, or (H, W) gray"

_KINDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, Real) and not isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, str | os.PathLike),
    "bool": lambda value: isinstance(value, bool),
    "None": lambda value: value is None,
}
"""By the name of a field's type, whether a value has it."""


def classes_problem(names: Sequence[object]) -> str | None:
    """What is wrong with the names of classes, with what was expected; None where nothing is."""
    if not MIN_CLASSES <= len(names) <= MAX_CLASSES:
        return f"{len(names)} classes, expected {MIN_CLASSES} to {MAX_CLASSES}"
    for name in names:
        if not isinstance(name, str) or name != name.strip() or not name.isprintable() or not name:
            return f"a class is called {shortened(repr(name))}, expected a printable name without spaces around it"
        if len(name) > MAX_CLASS_NAME:
            return f"a class is called '{shortened(name)}', expected at most {MAX_CLASS_NAME} characters"
    twice = [name for name in names if names.count(name) > 1]
    return f"two classes are called '{shortened(twice[0])}', expected different names" if twice else None


def checked_picture(picture: Any) -> Any:
    """Check the picture of a frame, in constant time for what needs no conversion.

    Args:
        picture: An array, or a picture that is decoded when it is used.

    Returns:
        The picture; (H, W, 1) becomes (H, W), and (H, W, 4) BGRA becomes (H, W, 3) BGR without its transparency.

    Raises:
        DataError: It is something else, with what it is in the message.
    """
    if isinstance(picture, np.ndarray):
        picture = picture if type(picture) is np.ndarray else np.asarray(picture)  # a matrix stays two-dimensional
        shape = picture.shape
        if picture.dtype == np.uint8 and len(shape) in (2, 3) and picture.size:
            if len(shape) == 2 or shape[2] == 3:
                return picture
            if shape[2] == 1:
                return picture[:, :, 0]
            if shape[2] == 4:
                return np.ascontiguousarray(picture[:, :, :3])
        raise DataError(f"a frame's picture is {describe(picture)}, {PIXELS}{_advice(picture)}")
    if callable(getattr(picture, "at_width", None)) and not isinstance(picture, type):
        return picture
    advice = "numpy.asarray(picture, numpy.uint8) may make one"
    if picture is None:
        advice = "cv2.imread gives None for a file that it cannot read"
    elif isinstance(picture, (str, bytes, os.PathLike)):
        advice = "read_picture reads a file"
    raise DataError(f"a frame's picture is {describe(picture)}, {PIXELS} in a numpy array; {advice}")


def _advice(picture: NDArray[Any]) -> str:
    """Advice for an array that is no picture: how to make one of it, as far as its dtype and shape show."""
    if not picture.size:
        return "; it is empty"
    if picture.ndim == 4:
        return "; give one picture of the batch at a time"
    if picture.ndim == 3 and picture.shape[0] in (1, 3, 4) and picture.shape[2] not in (1, 3, 4):
        return "; numpy.moveaxis(pixels, 0, 2) puts the channels last"
    if picture.dtype == np.uint8:
        return ""
    if picture.dtype == np.uint16:
        return "; (pixels // 256).astype(numpy.uint8) of 16-bit pixels"
    if picture.dtype.kind == "f":
        return "; (255 * pixels).astype(numpy.uint8) of pixels from 0 to 1, pixels.astype(numpy.uint8) from 0 to 255"
    if picture.dtype == np.bool_:
        return "; 255 * pixels.astype(numpy.uint8) of a mask"
    return "; pixels.astype(numpy.uint8) of pixels from 0 to 255" if picture.dtype.kind in "iu" else ""


def check_count(number: Any, what: str) -> None:
    """Check a whole number; DataError where it is none from 0, `what` names it."""
    if (type(number) is not int and not isinstance(number, Integral)) or number < 0:
        raise DataError(f"{what} is {describe(number)}, expected a whole number from 0")


def check_time(time: Any, what: str) -> None:
    """Check a time in seconds; DataError where it is no finite number, `what` names it."""
    if (type(time) is not float and not isinstance(time, Real)) or not math.isfinite(time):
        raise DataError(f"{what} is {describe(time)}, expected finite seconds")


def expect(value: object, kind: type[Kind], what: str) -> Kind:
    """Check the type of an argument.

    Args:
        value: The argument.
        kind: The type that it must have.
        what: The function and how to make such a value, for the error.

    Returns:
        The argument.

    Raises:
        DataError: It has another type.
    """
    if isinstance(value, kind):
        return value
    raise DataError(f"a {kind.__name__} was expected, what was given is {describe(value)}; {what}")


def as_text(path: Any) -> str:
    """A path or address, given as text, as bytes or as a `pathlib.Path`, as text; DataError for anything else."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise DataError(f"a path was expected, what was given is {describe(path)}") from None


def expect_all(values: Any, kind: type[Kind], what: str) -> list[Kind]:
    """Check an argument that is iterated over, see `expect`; its elements."""
    if not isinstance(values, Iterable):
        raise DataError(f"each {kind.__name__} was expected in a list, what was given is {describe(values)}; {what}")
    return [expect(each, kind, what) for each in values]


class CheckedOptions:
    """Base of an options dataclass whose values are checked when it is made.

    Raises:
        ConfigError: A value is not of its field's type, or not in its range or choices.
    """

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # the subclass is a dataclass
            value = getattr(self, each.name)
            expected = _expected(value, str(each.type).split(" | "), each.metadata["option"])
            if expected is not None:
                raise ConfigError(f"{type(self).__name__}: {each.name} is {describe(value)}, expected {expected}")


def _expected(value: Any, kinds: list[str], info: Any) -> str | None:
    """What an option takes, in words; None where the value is it."""
    if not any(_KINDS[kind](value) for kind in kinds):
        return " or ".join(kinds)
    if info.choices and str(value) not in info.choices:
        return f"one of {', '.join(info.choices)}"
    if value is None or _in_range(value, info):
        return None
    least = "" if info.minimum is None else f"{'more than' if info.open_minimum else 'at least'} {info.minimum}"
    most = "" if info.maximum is None else f"at most {info.maximum}"
    return " and ".join(filter(None, (least, most)))


def _in_range(value: Any, info: Any) -> bool:
    """Whether a value is in its option's range; a NaN is not."""
    above = info.minimum is None or (value > info.minimum if info.open_minimum else value >= info.minimum)
    return bool(above and (info.maximum is None or value <= info.maximum))


def describe(value: object) -> str:
    """A value in an error: an array by type and shape, anything else by its text and type."""
    if isinstance(value, np.ndarray):
        return f"an array of {shortened(value.dtype)} with the shape {value.shape}"
    if isinstance(value, (int, float, str)) or value is None:
        return shortened(repr(value))
    return f"of the type {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
