"""The types that all rooms share: frames, faces, predictions, sources, and the fields of options dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.arguments import CheckedOptions as CheckedOptions
from fer_edge.edge.arguments import as_text as as_text
from fer_edge.edge.arguments import check_count as check_count
from fer_edge.edge.arguments import check_time as check_time
from fer_edge.edge.arguments import checked_picture
from fer_edge.edge.arguments import classes_problem as classes_problem
from fer_edge.edge.arguments import expect as expect
from fer_edge.edge.arguments import expect_all as expect_all

MAX_THREADS = 64
"""Threads per model at most: networks this small gain nothing beyond a few, and each thread costs memory."""

STAGES: tuple[str, ...] = ("detect", "track", "crop", "classify", "smooth")
"""The stages of the pipeline in order, by which its times are named."""


class Picture(Protocol):
    """A picture that is decoded when it is used, at the resolution that is needed, such as a JPEG from a camera."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole picture, pixels."""
        ...

    def at_width(self, width: int, colour: bool) -> NDArray[np.uint8]:
        """The picture at this width or more, see `Frame.at_width`; any thread may call it."""
        ...

    def prepare(self) -> None:
        """Decode it now as the pictures before it were used, if they were used at all."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture from a source.

    Attributes:
        picture: (H, W, 3) uint8 BGR, (H, W) uint8 gray, or a picture that is decoded when it is used. (H, W, 1) is
            taken for gray, and of (H, W, 4) BGRA the transparency is dropped.
        index: The frame's number, from 0.
        time: Seconds; since the start of a live source, media time in a file.

    Raises:
        DataError: The picture is something else, or number or time are none.
    """

    picture: NDArray[np.uint8] | Picture
    index: int = 0
    time: float = 0.0

    def __post_init__(self) -> None:
        picture = checked_picture(self.picture)
        if picture is not self.picture:
            object.__setattr__(self, "picture", picture)
        check_count(self.index, "a frame's index")
        check_time(self.time, "a frame's time")

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The whole picture: (H, W, 3) uint8 BGR, or (H, W) uint8 gray."""
        return self.picture if isinstance(self.picture, np.ndarray) else self.picture.at_width(self.size[0], True)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole picture, pixels; nothing is decoded for it."""
        if isinstance(self.picture, np.ndarray):
            return self.picture.shape[1], self.picture.shape[0]
        return self.picture.size

    def at_width(self, width: int, colour: bool = True) -> NDArray[np.uint8]:
        """The picture in no fewer pixels than needed, as far as the source can save work by it.

        Args:
            width: Width that is needed, pixels.
            colour: Whether colour is needed.

        Returns:
            (h, w, 3) uint8 BGR or (h, w) uint8 gray, of the same view, with w >= `width` unless the whole picture has
            less; where colour is not needed, it may be either.
        """
        return self.picture if isinstance(self.picture, np.ndarray) else self.picture.at_width(width, colour)

    def prepare(self) -> None:
        """Decode the picture ahead of its use, as the pictures before it were used."""
        if not isinstance(self.picture, np.ndarray):
            self.picture.prepare()


@dataclass(frozen=True)
class Box:
    """An axis-aligned rectangle in integer pixels of its frame; it may reach beyond the frame's border.

    Attributes:
        x: Left edge.
        y: Top edge.
        width: Width.
        height: Height.
    """

    x: int
    y: int
    width: int
    height: int


Point = tuple[float, float]
"""A place x, y in pixels of its frame."""


@dataclass(frozen=True)
class Face:
    """A detected face.

    Attributes:
        box: Where it is in its frame.
        score: The detector's score, 0..1.
        eyes: The two eye centres in frame pixels, the one first that is on the left when the face is upright; None
            where the detector has none.
        track: The number of its track, from 1; None where faces are not tracked.
        eye_score: How sure it is that these are the eyes, 0..1.
    """

    box: Box
    score: float
    eyes: tuple[Point, Point] | None = None
    track: int | None = None
    eye_score: float = 1.0


TRACK_TIMEOUT = 1.0
"""Seconds without a matching face after which a track ends."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A face and its expression.

    Attributes:
        face: The face.
        scores: (C,) float32 probabilities in the order of `classes`, summing to 1.
        classes: (C,) names of the model's classes.
    """

    face: Face
    scores: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def emotion(self) -> str:
        """The name of the most probable class."""
        return self.classes[int(np.argmax(self.scores))]

    @property
    def confidence(self) -> float:
        """The probability of the most probable class, 0..1."""
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
        disconnect_reason: Why it was lost, or why the last attempt to reconnect failed, in one line without passwords;
            None while it is connected.
        black: Seconds for which a live source has given nothing but black pictures; 0 otherwise.
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
    @property
    def disconnect_reason(self) -> str | None: ...
    @property
    def black(self) -> float: ...
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
class Acceleration:
    """What runs the networks in place of the runtime's interpreter on the CPU; at most one of the two.

    Attributes:
        delegate: A TFLite external delegate with its options, LIBRARY[:key=value…].
        accelerator: LiteRT's accelerators in order of preference, such as "gpu,cpu".
    """

    delegate: str | None = None
    accelerator: str | None = None


@dataclass(frozen=True, eq=False, repr=False)  # each generated method takes its time at every start
class OptionInfo:
    """What the command line, the configuration file and the documentation need of an option, beside its default.

    Attributes:
        help: One sentence for the help text, with the unit.
        metavar: The placeholder of the value in the help text.
        minimum: Least value.
        maximum: Largest value; a billion where None, and infinity too where that is the default.
        open_minimum: Whether `minimum` itself is not allowed.
        choices: The only allowed values; empty where any is allowed.
        example: A value for the example configuration file where the default is None.
        show_default: The default in words, for the help text.
        flag_value: The value of the flag without an argument.
        envvar: An environment variable in addition to FER_EDGE_COMMAND_OPTION.
        secret: Whether the value must never be shown.
        stores: What the option stores on this device, in words.
        network: Whether the option needs a network.
        cli: Whether the command line has it.
        required: Whether a value must be given.
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
    """Make a field of an options dataclass from its default and its `OptionInfo`.

    Args:
        default: The field's default value.
        help: One sentence for the help text, with the unit.
        **info: Further fields of `OptionInfo`.

    Returns:
        The `dataclasses.field`, with the `OptionInfo` as its metadata "option".
    """
    return field(default=default, metadata={"option": OptionInfo(help, **info)})
