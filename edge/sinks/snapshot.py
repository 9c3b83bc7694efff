"""Annotated pictures of the moments at which an emotion begins, a bounded number of them."""

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
from fer_edge.edge.sinks.events import HOLD_SECONDS, Cooldown, Event, Watch
from fer_edge.edge.sinks.picture import write_picture
from fer_edge.edge.types import EMOTIONS, Frame, Prediction

OURS = re.compile(rf"\d{{8}}-\d{{6}}-\d{{3}}-({'|'.join(EMOTIONS)})-\d+\.jpg")
"""Date, time, milliseconds, emotion, track: nothing else in the folder is ever removed."""


class SnapshotSink:
    """Writes FOLDER/20260131-174502-123-happy-4.jpg when such an emotion begins, and keeps the newest `keep`.

    emotions: those wanted. rest: seconds between two pictures. The folder is made for its owner alone. A thread draws
    and writes; a picture for which it has no time is left out. Raises SinkError.
    """

    def __init__(
        self, folder: Path, emotions: Collection[str], keep: int, cooldown: float = 0.0, hold: float = HOLD_SECONDS
    ) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder} cannot be made: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(f"{folder} is no writable folder")
        self._folder, self._emotions, self._keep = folder, emotions, keep
        self._watch, self._cooldown = Watch(hold), Cooldown(cooldown)
        self._writer: BackgroundWorker[tuple[Frame, Sequence[Prediction], Event]] = BackgroundWorker(
            self._write, "snapshots"
        )

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        for event in self._watch.see(predictions, frame.time):
            wanted = event.kind == "emotion" and event.emotion in self._emotions and self._cooldown.over(event.time)
            if wanted and self._writer.offer((frame, predictions, event)):
                self._cooldown.begin(event.time)

    def _write(self, moment: tuple[Frame, Sequence[Prediction], Event]) -> None:
        frame, predictions, event = moment
        now = datetime.now()
        name = f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{event.emotion}-{event.track}.jpg"
        write_picture(self._folder / name, annotate(frame, predictions))
        try:
            self._forget()
        except OSError as error:
            raise SinkError(f"{error.filename} cannot be listed or removed: {error.strerror}") from None

    def _forget(self) -> None:
        """Remove all but the newest."""
        kept = []
        for path in self._folder.iterdir():
            if OURS.fullmatch(path.name):
                with suppress(FileNotFoundError):  # somebody else removed it meanwhile
                    kept.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(kept)[: -self._keep]:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        self._writer.close()
