"""What is asked of a camera, and how to tell what it gave instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptureRequest:
    """width, height: pixels. fps: frames a second. None: whatever the camera likes."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None

    def describe(self, size: tuple[int, int], fps: float | None) -> str:
        """The size (width, height) and the rate that came of it, each with the wish where it was not followed."""
        words = f"{size[0]}x{size[1]}"
        if (self.width or size[0], self.height or size[1]) != size:
            words += f" instead of {self.width or 'any'}x{self.height or 'any'}"
        if fps:
            words += f", {fps:.3g} fps"
        if self.fps and (fps is None or abs(fps - self.fps) > 0.02 * self.fps):
            words += f" instead of {self.fps:g}" if fps else f", {self.fps:g} fps were asked, the camera does not tell"
        return words


NONE = CaptureRequest()
