"""The base classes of all sources: a default for everything in the `Source` protocol but the frames."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from fer_edge.edge.types import Frame, Source


class BaseSource:
    """A recording by default; a subclass yields the frames in `__iter__` and sets what differs."""

    live = False
    continuous = True
    name = ""
    fps: float | None = None
    _problem: str | None = None
    _dropped = 0

    @property
    def problem(self) -> str | None:
        return self._problem

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def disconnected(self) -> float:
        return 0.0

    @property
    def disconnect_reason(self) -> str | None:
        return None

    @property
    def black(self) -> float:
        return 0.0

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """End the iteration, even one that waits for a live frame; may be called from any thread."""

    def close(self) -> None:
        """Release the device, file or connection; closing twice does no harm."""


class SourceWrapper(BaseSource):
    """A source around another one, with that one's attributes; a subclass yields its frames in another way."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.live, self.continuous = source.live, source.continuous
        self.name, self.fps = source.name, source.fps

    @property
    def problem(self) -> str | None:
        return self._source.problem

    @property
    def dropped(self) -> int:
        return self._source.dropped

    @property
    def disconnected(self) -> float:
        return self._source.disconnected

    @property
    def disconnect_reason(self) -> str | None:
        return self._source.disconnect_reason

    @property
    def black(self) -> float:
        return self._source.black

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()
