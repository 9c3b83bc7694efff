"""Annotated pictures when an emotion begins, up to a number of files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.events import HOLD_TIME, Cooldown, Event, EventDetector
from fer_edge.edge.sinks.picture import write_picture
from fer_edge.edge.types import EMOTIONS, Frame, Prediction

SNAPSHOT_NAME = re.compile(rf"\d{{8}}-\d{{6}}-\d{{3}}-({'|'.join(EMOTIONS)})-\d+\.jpg")
"""Date, time, milliseconds, emotion, track; files with other names are never removed."""


class SnapshotSink:
    """Writes FOLDER/20260131-174502-123-happy-4.jpg when an emotion begins, and keeps the newest ones.

    A thread draws and writes; a picture that comes while it is busy is dropped.

    Args:
        folder: Where to write; created if missing, for its owner only.
        emotions: The emotions to write pictures of.
        keep: Number of pictures to keep.
        cooldown: Minimum seconds between two pictures.
        hold_time: Seconds that an emotion must last to have begun.

    Raises:
        SinkError: The folder or a picture cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        emotions: Collection[str],
        keep: int,
        cooldown: float = 0.0,
        hold_time: float = HOLD_TIME,
    ) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder} cannot be created: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(f"{folder} is not a writable folder")
        self._folder, self._emotions, self._keep = folder, emotions, keep
        self._events, self._cooldown = EventDetector(hold_time), Cooldown(cooldown)
        self._writer: BackgroundWorker[tuple[Frame, Sequence[Prediction], Event]] = BackgroundWorker(
            self._write, "snapshots"
        )

    @property
    def busy(self) -> bool:
        """Whether a picture is being written."""
        return self._writer.busy

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        for event in self._events.update(predictions, frame.time):
            matches = event.kind == "emotion" and event.emotion in self._emotions
            if matches and self._cooldown.is_over(event.time) and self._writer.submit((frame, predictions, event)):
                self._cooldown.start(event.time)

    def _write(self, item: tuple[Frame, Sequence[Prediction], Event]) -> None:
        frame, predictions, event = item
        now = datetime.now()
        name = f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{event.emotion}-{event.track}.jpg"
        write_picture(self._folder / name, annotate(frame, predictions))
        try:
            self._remove_old()
        except OSError as error:
            raise SinkError(f"{error.filename} cannot be listed or removed: {error.strerror}") from None

    def _remove_old(self) -> None:
        """Remove all but the newest pictures."""
        pictures = []
        for path in self._folder.iterdir():
            if SNAPSHOT_NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):  # another program removed it meanwhile
                    pictures.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(pictures)[: -self._keep]:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        self._writer.close()
