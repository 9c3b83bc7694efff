"""The few types that travel between the rooms, all of them frozen, and what an options dataclass is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes in output-index order, which is the label order of the official FER2013 CSV."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture from a source.

    pixels: (H, W, 3) uint8 BGR, or (H, W) uint8 gray. index: counts from 0. time: seconds, since the source
    started for a live source, media time for a file. small: the same view in fewer pixels, (h, w, 3) uint8 BGR, where
    the source has it for nothing; enough to find faces in.
    """

    pixels: NDArray[np.uint8]
    index: int = 0
    time: float = 0.0
    small: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Box:
    """An axis-aligned rectangle in integer pixels of its frame; it may reach over the frame's edge."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Face:
    """A detected face. score: 0..1. eyes: the two eye centres (x, y) in frame pixels, the image-left one first."""

    box: Box
    score: float
    eyes: tuple[tuple[float, float], tuple[float, float]] | None = None
    track: int | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """A face and its scores: (7,) float32 in EMOTIONS order, summing to 1."""

    face: Face
    scores: NDArray[np.float32]

    @property
    def emotion(self) -> str:
        """The most probable class's name."""
        return EMOTIONS[int(np.argmax(self.scores))]

    @property
    def confidence(self) -> float:
        """The most probable class's probability, 0..1."""
        return float(np.max(self.scores))


class Source(Protocol):
    """Something that yields frames once, in one thread; `with` closes it.

    Iterating raises SourceError when the source fails.

    Attributes:
        live: Whether frames arrive in real time, as from a camera; a recording waits for its reader.
        continuous: Whether neighbouring frames show one scene, so that faces can be tracked through them.
        name: What the source is, for logs; without passwords.
        fps: Nominal frame rate in frames per second, None where it is unknown.
        problem: One line, set when the iteration ended normally although not everything could be read; else None.
        dropped: Number of live frames that were replaced by newer ones before they were read.
        disconnected: Seconds since a live source was lost that is being reconnected; 0 while it is connected.
    """

    live: bool
    continuous: bool
    name: str
    fps: float | None

    @property
    def problem(self) -> str | None: ...
    @property
    def dropped(self) -> int: ...
    @property
    def disconnected(self) -> float: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def stop(self) -> None:
        """End the iteration, even one that waits for a live frame; may be called from any thread."""

    def close(self) -> None:
        """Release the device, file or connection; closing twice does no harm."""


@dataclass(frozen=True)
class OptionInfo:
    """What a command line, a configuration file and the documentation need to know of an option, beside its default.

    help: one sentence with the unit. metavar: the value's placeholder in the help. minimum, maximum: the range, its
    lower end left out where `open_minimum`. choices: the only values. example: a value for the example configuration
    file where the default is None. show_default: the default in words. flag_value: what the flag alone stands for.
    envvar: an environment variable beside FER_EDGE_COMMAND_OPTION. secret: never shown. stores: what the option keeps
    on this device, in words. network: whether it needs one. cli: whether the command line has it.
    required: whether a value must be given.
    """

    help: str
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    choices: tuple[str, ...] = ()
    example: Any = None
    show_default: str | None = None
    flag_value: str | None = None
    envvar: str | None = None
    secret: bool = False
    stores: str = ""
    network: bool = False
    cli: bool = True
    required: bool = False


def option(default: Any, help: str, **info: Any) -> Any:
    """A field of an options dataclass: its default and its `OptionInfo`.

    Args:
        default: The field's default value.
        help: One sentence for the help text, with the unit.
        **info: Further fields of `OptionInfo`.

    Returns:
        The `dataclasses.field`, with the `OptionInfo` as its metadata "option".
    """
    return field(default=default, metadata={"option": OptionInfo(help, **info)})
