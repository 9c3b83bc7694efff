"""Pictures of a Motion JPEG camera, decoded when they are used, and no larger than they are used.

A JPEG can be decoded at a half, quarter or eighth of its width and height, and in gray, for a fraction of the cost:
chroma and high frequencies are then neither transformed nor converted (`fer-edge bench pipeline --source mjpg`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.picture_header import MAX_PIXELS, check_size

log = logging.getLogger(__name__)

REDUCTIONS = (8, 4, 2, 1)
"""Divisors of width and height at which a JPEG can be decoded, the cheapest first."""

RECENT_PICTURES = 8
"""Pictures whose use predicts that of the next one: more than lie between two pictures of a viewer of the live page."""

MAX_DAMAGED = 100
"""Damaged pictures in a row after which a camera counts as lost; a loose cable damages some, not all."""

SIZE_CHANGED_AFTER = 5
"""Whole pictures of one other size in a row after which it is the stream's; damaged ones rarely agree on one."""

_FLAGS = {
    8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8),
    4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
    2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
    1: (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR),
}  # by reduction: in gray, in colour

_START, _END = b"\xff\xd8", b"\xff\xd9"
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))  # they have no length
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15


def read_size(jpeg: bytes) -> tuple[int, int] | None:
    """Read width and height from a JPEG's header.

    Source: ITU-T T.81, annex B.

    Args:
        jpeg: The file.

    Returns:
        Width and height in pixels; None where it does not begin as a JPEG does.
    """
    if not jpeg.startswith(_START):
        return None
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE_MARKERS:
            at += 2
        elif marker in _FRAME_HEADERS:
            height, width = int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9])
            return (width, height) if width and height else None
        else:
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return None


def is_complete(jpeg: bytes) -> bool:
    """Whether a JPEG has its end; a camera may pad its buffers after it."""
    return jpeg.rfind(_END) > 0


@dataclass
class _Use:
    """How a picture was used: the largest reduction that was enough, and whether colour was needed without any."""

    reduction: int = REDUCTIONS[0]
    whole_in_colour: bool = False


@dataclass
class JpegHistory:
    """How a source's recent pictures were used, which predicts how the next one will be.

    A picture that is decoded once for all its uses costs less than one that is decoded for each of them.
    """

    _uses: deque[_Use] = field(default_factory=lambda: deque(maxlen=RECENT_PICTURES))

    def add(self) -> _Use:
        """Add a picture that is being used for the first time."""
        use = _Use()
        self._uses.append(use)
        return use

    def predict(self) -> _Use | None:
        """Predict how the next picture will be used; None where none was used yet."""
        uses = list(self._uses)
        if not uses:
            return None
        return _Use(min(use.reduction for use in uses), any(use.whole_in_colour for use in uses))


class JpegPicture:
    """A JPEG that is decoded when it is used, at the least size at which it has the pixels that are needed.

    What was decoded stays and serves later uses. Any thread may use it.

    Attributes:
        size: Width and height, pixels.
    """

    def __init__(self, jpeg: bytes, size: tuple[int, int], history: JpegHistory) -> None:
        """Wrap a JPEG.

        Args:
            jpeg: The file.
            size: Its width and height, as `read_size` gives them.
            history: That of its source.
        """
        self.size = size
        self._jpeg, self._history = jpeg, history
        self._decoded: dict[tuple[int, bool], NDArray[np.uint8]] = {}  # by reduction, colour
        self._use: _Use | None = None
        self._lock = threading.Lock()

    def at_width(self, width: int, colour: bool) -> NDArray[np.uint8]:
        """The picture at this width or more, see `Frame.at_width`; where it cannot be decoded, all of it is gray."""
        reduction = next((each for each in REDUCTIONS if -(-self.size[0] // each) >= width), 1)
        with self._lock:
            predicted = self._history.predict()
            if self._use is None:
                self._use = self._history.add()
            self._use.reduction = min(self._use.reduction, reduction)
            self._use.whole_in_colour |= colour and reduction == 1
            if (enough := self._find(reduction, colour)) is not None:
                return enough
            if predicted is not None and self._find(predicted.reduction, False) is None:
                reduction, colour = min(reduction, predicted.reduction), colour or predicted.whole_in_colour
            return self._decode(reduction, colour)

    def prepare(self) -> None:
        """Decode it now as the pictures before it were used, if they were used at all."""
        with self._lock:
            predicted = self._history.predict()
            if predicted is not None and not self._decoded:
                self._decode(predicted.reduction, predicted.whole_in_colour)

    def can_be_decoded(self) -> bool:
        """Whether OpenCV decodes it: JPEGs of rare kinds, such as arithmetic coding or 12 bits, it does not."""
        try:
            flags = _FLAGS[REDUCTIONS[0]][False]
            return cv2.imdecode(np.frombuffer(self._jpeg, np.uint8), flags) is not None
        except cv2.error:
            return False

    def _find(self, reduction: int, colour: bool) -> NDArray[np.uint8] | None:
        """What was decoded with these pixels or more; None where nothing was."""
        keys = [key for key in self._decoded if key[0] <= reduction and key[1] >= colour]
        return self._decoded[max(keys)] if keys else None

    def _decode(self, reduction: int, colour: bool) -> NDArray[np.uint8]:
        flags = _FLAGS[reduction][colour] | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            pixels = cv2.imdecode(np.frombuffer(self._jpeg, np.uint8), flags)
        except cv2.error:
            pixels = None
        if pixels is None:
            width, height = (-(-side // reduction) for side in self.size)
            pixels = np.full((height, width, 3) if colour else (height, width), 128, np.uint8)
        self._decoded[reduction, colour] = result = np.asarray(pixels, np.uint8)
        return result


class JpegStream:
    """Makes pictures of a camera's JPEGs, and leaves out the damaged ones.

    Attributes:
        damaged: Number of pictures that were left out.
    """

    def __init__(self, name: str, advice: str = "is its cable loose?", max_pixels: int = MAX_PIXELS) -> None:
        """Begin a stream.

        Args:
            name: The camera's name, for the log.
            advice: What to look at if all pictures are damaged.
            max_pixels: Largest width times height of a picture; larger ones count as damaged.
        """
        self.damaged = 0
        self._name, self._advice, self._damaged_in_row = name, advice, 0
        self._size: tuple[int, int] | None = None
        self._max_pixels = max_pixels
        self._other_size: tuple[int, int] | None = None
        self._other_sizes = 0
        self._history = JpegHistory()

    def picture(self, jpeg: bytes) -> JpegPicture | None:
        """Make a picture of a JPEG, which is not decoded yet.

        Args:
            jpeg: The camera's buffer, which may be padded.

        Returns:
            The picture; None where the JPEG has no end or another size than those before, unless that size stays.

        Raises:
            SourceError: MAX_DAMAGED in a row are damaged, or the first one is larger than `max_pixels`.
        """
        size = read_size(jpeg) if is_complete(jpeg) else None
        if size is not None and size[0] * size[1] > self._max_pixels:
            if self._size is None:
                check_size(*size, self._name, self._max_pixels)
            size = None
        self._other_sizes = self._other_sizes + 1 if size is not None and size == self._other_size else 1
        self._other_size = size
        if size is not None and (size == (self._size or size) or self._other_sizes >= SIZE_CHANGED_AFTER):
            self._size, self._damaged_in_row = size, 0
            return JpegPicture(jpeg, size, self._history)
        self.damaged, self._damaged_in_row = self.damaged + 1, self._damaged_in_row + 1
        if self._damaged_in_row == MAX_DAMAGED:
            raise SourceError(f"{self._name} gave {MAX_DAMAGED} damaged pictures in a row; {self._advice}")
        if str(self.damaged).strip("0") == "1":  # 1, 10, 100 …
            log.warning("source: %s: damaged JPEG left out, %d so far", self._name, self.damaged)
        return None
