"""What encoders and containers share: a stream of packets, one per picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Packet:
    """An encoded picture.

    Attributes:
        data: Its bytes.
        key: Whether it can be decoded without those before it.
    """

    data: bytes
    key: bool


@dataclass(frozen=True)
class StreamInfo:
    """What a container writes into its header.

    Attributes:
        codec: "mpeg4", "vp8" or "mjpeg".
        width: Pixels, even.
        height: Pixels, even.
        rate: Pictures per second.
    """

    codec: str
    width: int
    height: int
    rate: float


class Encoder(Protocol):
    """Turns pictures into packets, which it hands to the function that it was made with, in order."""

    def encode(self, picture: NDArray[np.uint8]) -> None:
        """Encode one picture, (H, W, 3) uint8 BGR; raises what the function raised for an earlier one."""
        ...

    def close(self) -> None:
        """Hand over the last packets; raises what the function raised."""
        ...


class Container(Protocol):
    """A file format; every packet is in the file, and playable, when `write` returns."""

    def write(self, packet: Packet, number: int) -> None:
        """Append one packet; OSError where it cannot be written, and the file is as before.

        Args:
            packet: The packet.
            number: When it is shown, in pictures of the constant rate from the file's start: 0, then growing numbers.
                The picture before it is shown until then.
        """
        ...

    def finish(self) -> None:
        """Write what makes seeking fast; OSError leaves a file that plays without it."""
        ...


PacketHandler = Callable[[Packet], None]
