"""What was made of each photograph, a line for each in FACES/crops.jsonl: it tells the next run what is done."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fer_edge.edge.errors import DataError, SinkError, printable
from fer_edge.edge.files.documents import json_text, parse_json
from fer_edge.edge.files.writing import PART, make_folder, write_bytes
from fer_edge.edge.sinks.line_file import ForeignFile, LineFile

JOURNAL, LEFT_OUT = "crops.jsonl", "left-out.csv"

START = b'{"settings": '
"""How the journal begins."""


@dataclass(frozen=True)
class CropEntry:
    """What was made of one photograph.

    Attributes:
        photo: Its absolute path, `printable`.
        bytes: Its size.
        time: When it was changed, seconds since 1970.
        sha256: Of its content; '' where it could not be read.
        folder: The folder of its crops, relative to FACES.
        files: The crops' names in that folder.
        boxes: The faces' boxes, x, y, width and height in pixels of the photograph.
        reason: Why it has no crop, or why some of its faces have none; '' where nothing was left out.
        detail: What else there is to say.
    """

    photo: str
    bytes: int
    time: float
    sha256: str
    folder: str
    files: tuple[str, ...] = ()
    boxes: tuple[tuple[int, ...], ...] = ()
    reason: str = ""
    detail: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The folder and the photograph: one may be in two classes, by mistake or not."""
        return self.folder, self.photo

    def is_of(self, status: os.stat_result) -> bool:
        """Whether the photograph has not been changed since."""
        return (self.bytes, self.time) == (status.st_size, _seconds(status))


class CropJournal:
    """The journal of a folder of crops, locked for this process; closing it removes it where there are no crops.

    Attributes:
        folder: FACES.
        entries: The last entry of each photograph in each folder, by `CropEntry.key`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the journal, or begin one in a folder that is new or empty.

        Args:
            folder: FACES; it is created for its owner alone.
            settings: How crops are made, which must be the same for all that lie in one folder.

        Raises:
            DataError: The folder holds crops that were made otherwise, or something else than crops.
            SinkError: It cannot be written, or another process writes to it.
        """
        self.folder, self._path = folder, folder / JOURNAL
        self.entries: dict[tuple[str, str], CropEntry] = {}
        self._taken: dict[tuple[str, str], str] = {}  # photographs by folder and crop's name
        self._same: dict[tuple[str, str], CropEntry] = {}  # by folder and content
        self._is_new_folder = not os.path.lexists(folder)
        known = self._read(settings)
        merged = {**known, **settings}
        header = START + json_text(merged).encode() + b"}\n"
        try:
            make_folder(folder, private=True)
            self._file = LineFile(str(self._path), header, START, overwrite=False)
            self._is_new = not self.entries and not known
            if known and merged != known:
                self._file.append(header)
            for unfinished in folder.rglob(f"{PART}*"):  # of a run that was killed
                unfinished.unlink(missing_ok=True)
        except ForeignFile:
            raise DataError(f"{self._path} is no list of crops; give another folder") from None
        except OSError as error:
            raise SinkError(f"{folder} cannot be written: {error.strerror}") from None

    def _read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Read the entries, and return the settings of the crops that are there; none where there are none."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            if self.folder.is_dir() and any(not each.startswith(".") for each in os.listdir(self.folder)):
                what = "holds files that neither 'data crop' nor 'data record' made"
                raise DataError(f"{self.folder} {what}; give a new folder for the faces") from None
            return {}
        except NotADirectoryError:
            raise SinkError(f"{self.folder} is no folder; give a new folder for the faces") from None
        except OSError as error:
            raise SinkError(f"{self._path} cannot be read: {error.strerror}") from None
        known: dict[str, Any] = {}
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):  # the last line may be unfinished
            try:
                record = parse_json(line)
                if "settings" in record:
                    known = dict(record["settings"])
                else:
                    self._remember(_entry(record))
            except (ValueError, TypeError):
                raise DataError(f"{self._path}:{number} is no line of this list; give another folder") from None
        for key in settings:
            if settings[key] != known.get(key, settings[key]):
                raise DataError(
                    f"{self.folder} holds crops made with {_words(key, known[key])}, not {_words(key, settings[key])}; "
                    "give the same options, or another folder"
                )
        return known

    def entry_of(self, photo: Path, folder: Path) -> CropEntry | None:
        """What was made of a photograph in a folder; None where it is new or was changed since."""
        entry = self.entries.get((printable(folder), printable_path(photo)))
        try:
            return entry if entry is not None and entry.is_of(photo.stat()) else None
        except OSError:
            return None

    def same_as(self, folder: Path, sha256: str) -> CropEntry | None:
        """The entry of a photograph with the same content whose crops are in that folder."""
        return self._same.get((printable(folder), sha256))

    def owner(self, folder: Path, name: str) -> str | None:
        """The photograph that a crop's name belongs to, as in `CropEntry.photo`; None where it is free."""
        return self._taken.get((printable(folder), name.casefold()))

    def add(self, entry: CropEntry) -> None:
        """Append an entry; SinkError where it cannot be written."""
        try:
            self._file.append(json_text(asdict(entry)).encode() + b"\n")
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written: {error.strerror}") from None
        self._remember(entry)

    def _remember(self, entry: CropEntry) -> None:
        self.entries[entry.key] = entry
        self._taken |= {(entry.folder, name.casefold()): entry.photo for name in entry.files}
        if entry.sha256 and entry.files:
            self._same.setdefault((entry.folder, entry.sha256), entry)

    def write_left_out(self, entries: Sequence[CropEntry]) -> Path:
        """Write FACES/left-out.csv: photographs, reasons and details; SinkError where it cannot be written."""
        text = io.StringIO()
        rows = [(each.photo, each.reason, each.detail) for each in entries]
        csv.writer(text, lineterminator="\n").writerows([("photo", "reason", "detail"), *rows])
        write_bytes(self.folder / LEFT_OUT, text.getvalue().encode(), private=True)
        return self.folder / LEFT_OUT

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the folder was removed meanwhile
            if self._is_new and os.listdir(self.folder) == [JOURNAL]:  # nothing was made
                self._path.unlink()
                if self._is_new_folder:
                    self.folder.rmdir()
        self._file.close()


def new_entry(photo: Path, folder: Path, sha256: str, **extra: Any) -> CropEntry:
    """An entry of a photograph as it is now; OSError where it is there no more."""
    status = photo.stat()
    return CropEntry(printable_path(photo), status.st_size, _seconds(status), sha256, printable(folder), **extra)


def left_out_entry(path: Path, reason: str, detail: str) -> CropEntry:
    """An entry of a file or folder that is no photograph of a class."""
    return CropEntry(printable_path(path), 0, 0.0, "", "", reason=reason, detail=detail)


def printable_path(photo: Path) -> str:
    """A photograph's path as in `CropEntry.photo`."""
    return printable(photo.absolute())


def _seconds(status: os.stat_result) -> float:
    return round(status.st_mtime, 3)


def _entry(record: dict[str, Any]) -> CropEntry:
    """The entry of a line; TypeError where it has other fields."""
    names = {each.name for each in fields(CropEntry)}
    if set(record) != names:
        raise TypeError
    boxes = tuple(tuple(int(side) for side in box) for box in record.pop("boxes"))
    return CropEntry(**{**record, "files": tuple(map(str, record["files"]))}, boxes=boxes)


def _words(key: str, value: Any) -> str:
    """A setting as its option is written."""
    flag = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else (f"--no-{flag}" if key == "crop" else f"no --{flag}")
    return f"no --{flag}" if value is None else f"--{flag} {value}"
