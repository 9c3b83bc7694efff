"""Annotated pictures when an emotion begins, up to a number of files."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.paths import file_identity
from fer_edge.edge.files.writing import make_folder
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.events import HOLD_TIME, Cooldown, Event, EventDetector
from fer_edge.edge.sinks.locks import FolderLock
from fer_edge.edge.sinks.picture import write_picture
from fer_edge.edge.types import Frame, Prediction

log = logging.getLogger(__name__)

MAX_NAME = 40
"""Characters of a class's name in a file's: a file system takes 255 bytes, of which a character may have four."""


TIME_STEP = 2_000_000_000
"""Nanoseconds between the modification times of two pictures whose clock went back: FAT keeps every other second."""


def snapshot_name(classes: Sequence[str]) -> re.Pattern[str]:
    """The pattern of a snapshot's name: date, time, milliseconds, one of the classes, track."""
    words = "|".join(re.escape(_file_word(name)) for name in classes)
    return re.compile(rf"\d{{8}}-\d{{6}}-\d{{3}}-({words})-\d+\.jpg")


class SnapshotSink:
    """Writes FOLDER/20260131-174502-123-happy-4.jpg when an emotion begins, and keeps the newest ones.

    A thread draws and writes; a picture that comes while it is busy is dropped. The order of the pictures is that of
    writing, whatever the clock says: within a run the sink remembers it, and a new file's modification time is never
    before the newest one's. Files that are not called like that, with one of the model's classes, are never removed.

    Args:
        folder: Where to write; created if missing, for its owner only.
        classes: (C,) names of the model's classes.
        emotions: The classes to write pictures of.
        keep: Number of pictures to keep.
        cooldown: Minimum seconds between two pictures.
        hold_time: Seconds that an emotion must last to have begun.

    Raises:
        SinkError: The folder or a picture cannot be written, or another process writes snapshots there.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        emotions: Collection[str],
        keep: int,
        cooldown: float = 0.0,
        hold_time: float = HOLD_TIME,
    ) -> None:
        self._folder, self._emotions, self._keep = folder, emotions, keep
        self._name = snapshot_name(classes)
        self._lock = self._open_folder()
        self._identity = file_identity(folder)
        self._order: list[str] = []
        self._events, self._cooldown = EventDetector(hold_time), Cooldown(cooldown)
        self._writer: BackgroundWorker[tuple[Frame, Sequence[Prediction], Event]] = BackgroundWorker(
            self._write, "snapshots"
        )

    def _open_folder(self) -> FolderLock:
        try:
            make_folder(self._folder, private=True)
        except OSError as error:
            raise SinkError(f"{self._folder} cannot be created: {error.strerror}") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SinkError(f"{self._folder} is not a writable folder")
        return FolderLock(self._folder)

    @property
    def busy(self) -> bool:
        """Whether a picture is being written."""
        return self._writer.busy

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        for event in self._events.update(predictions, frame.time):
            matches = event.kind == "emotion" and event.emotion in self._emotions
            if matches and self._cooldown.is_over(event.time) and self._writer.submit((frame, predictions, event)):
                self._cooldown.start(event.time)

    def set_timing(self, hold: float | None = None, cooldown: float | None = None) -> None:
        if hold is not None:
            self._events.hold_time = hold
        if cooldown is not None:
            self._cooldown.seconds = cooldown

    def _write(self, item: tuple[Frame, Sequence[Prediction], Event]) -> None:
        frame, predictions, event = item
        if file_identity(self._folder) != self._identity:
            self._lock.close()
            self._lock, self._identity = self._open_folder(), file_identity(self._folder)
            log.info("%s was renamed or removed, and is begun again", self._folder)
        path = self._free_path(event)
        write_picture(path, annotate(frame, predictions))
        try:
            self._sort_in(path)
            self._remove_old()
        except OSError as error:
            raise SinkError(f"{error.filename} cannot be listed or removed: {error.strerror}") from None

    def _sort_in(self, path: Path) -> None:
        """Bring the names of the pictures in the folder into the order of writing, `path` last."""
        times = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if self._name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # another program removed it meanwhile
                        times[entry.name] = entry.stat().st_mtime_ns
        times.pop(path.name, None)
        newest = max(times.values(), default=0)
        if path.stat().st_mtime_ns <= newest:
            os.utime(path, ns=(newest + TIME_STEP, newest + TIME_STEP))
        known = {name: place for place, name in enumerate(self._order)}
        self._order = [*sorted(times, key=lambda name: (known.get(name, -1), times[name], name)), path.name]

    def _remove_old(self) -> None:
        """Remove all but the newest pictures."""
        old, self._order = self._order[: -self._keep], self._order[-self._keep :]
        for name in old:
            (self._folder / name).unlink(missing_ok=True)

    def _free_path(self, event: Event) -> Path:
        """A name with the time, or with the next millisecond that has none: the clock may have gone back."""
        now, word = datetime.now(), _file_word(event.emotion or "")
        while True:
            name = f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{word}-{event.track}.jpg"
            if not os.path.lexists(self._folder / name):
                return self._folder / name
            now += timedelta(milliseconds=1)

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._lock.close()


def _file_word(name: str) -> str:
    """A class's name as part of a file's: without what a file system or a shell would take for something else."""
    return re.sub(r"[^\w-]+", "_", name)[:MAX_NAME]
