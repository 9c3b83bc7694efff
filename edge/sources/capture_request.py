"""The size and frame rate to request from a camera."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptureRequest:
    """What to request from a camera, which may negotiate something else.

    Attributes:
        width: Pixels, None for the camera's default.
        height: Pixels, None for the camera's default.
        fps: Frames per second, None for the camera's default.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None

    def describe(self, size: tuple[int, int], fps: float | None) -> str:
        """Describe the negotiated size (width, height) and rate, and the request where the camera did not follow it."""
        text = f"{size[0]}x{size[1]}"
        if (self.width or size[0], self.height or size[1]) != size:
            text += f" instead of {self.width or 'any'}x{self.height or 'any'}"
        if fps:
            text += f", {fps:.3g} fps"
        if self.fps and (fps is None or abs(fps - self.fps) > 0.02 * self.fps):
            text += f" instead of {self.fps:g}" if fps else f", {self.fps:g} fps requested, actual rate unknown"
        return text


UNSPECIFIED = CaptureRequest()
"""Whatever the camera gives by default."""
