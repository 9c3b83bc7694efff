"""The picture files of a folder, and what in it is none: nothing is left out without a word."""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.files.paths import file_identity
from fer_edge.edge.sources.picture_header import read_header

_NAMES = "apng avif bmp dib gif hdr j2k jfif jp2 jpe jpeg jpg pam pbm pfm pgm pic png pnm ppm ras sr tif tiff webp"

SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
"""Suffixes of pictures in a folder, in lower case; a file without any is a picture if it begins like one."""

_VIDEO_NAMES = "3gp asf avi flv m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv"

VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_NAMES.split())
"""Suffixes of videos in a folder, in lower case, where videos are read, too."""

ANIMATION_BYTES = 32 << 20
"""The beginning of a file in which the second picture of an animation is searched."""

MAX_NAMED = 5
"""Suffixes of left-out files that are named."""


@dataclass
class PictureFiles:
    """The picture files below one path.

    Attributes:
        paths: The pictures, those of a folder sorted by name and before those of its sub-folders; some may be damaged.
        problems: Why sub-folders could not be listed.
        folders: The identities (`file_identity`) of the folders that were listed.
        videos: Whether videos belong to the pictures.
    """

    videos: bool = False
    paths: list[Path] = field(default_factory=list)
    problems: list[SourceError] = field(default_factory=list)
    folders: set[tuple[int, int] | None] = field(default_factory=set)
    _others: Counter[str] = field(default_factory=Counter)
    _hidden: int = 0
    _sub_folders: int = 0

    @property
    def left_out(self) -> str:
        """The files and folders that are left out, counted, in words; empty where there are none."""
        return describe_left_out(self._others, self._hidden, self._sub_folders)

    def add_folder(self, folder: Path, recursive: bool) -> None:
        """Add the pictures of a folder.

        Args:
            folder: The folder.
            recursive: Whether those of its sub-folders are added too; each folder is read once, however it is linked.

        Raises:
            SourceError: The folder cannot be listed.
        """
        pending = [folder]
        self.folders.add(file_identity(folder))
        while pending:
            current = pending.pop()
            try:
                folders = self._add_files(current)
            except OSError as error:
                problem = SourceError(f"{current} cannot be listed: {error.strerror}")
                if current == folder:
                    raise problem from None
                self.problems.append(problem)
                continue
            if recursive:
                pending += reversed(self._unlisted(folders))
            else:
                self._sub_folders += sum(not each.name.startswith(".") for each in folders)

    def _unlisted(self, folders: list[Path]) -> list[Path]:
        """The folders that are not hidden and, under whatever name, were not met before."""
        new = []
        for folder in folders:
            identity = file_identity(folder)
            if folder.name.startswith("."):
                self._hidden += 1
            elif identity not in self.folders:
                self.folders.add(identity)
                new.append(folder)
        return new

    def _add_files(self, folder: Path) -> list[Path]:
        """Add a folder's files, and return its sub-folders."""
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        folders = []
        for entry in entries:
            path, suffix = folder / entry.name, Path(entry.name).suffix.lower()
            if _is_folder(entry):
                folders.append(path)
            elif not self._belongs(path, suffix):
                self._others[printable(suffix)] += 1
            elif entry.name.startswith("."):
                self._hidden += 1
            else:
                self.paths.append(path)
        return folders

    def _belongs(self, path: Path, suffix: str) -> bool:
        if suffix in SUFFIXES or (self.videos and suffix in VIDEO_SUFFIXES):
            return True
        return not suffix and begins_as_picture(path)


def list_pictures(path: Path, recursive: bool = False, videos: bool = False) -> PictureFiles:
    """List the pictures of a folder, or the one picture file.

    Args:
        path: A folder, or a file.
        recursive: Whether the pictures in sub-folders belong to it.
        videos: Whether the videos in it belong to the pictures.

    Returns:
        The folder's pictures, or `path` alone.

    Raises:
        SourceError: There is no such path, or the folder has no pictures or cannot be listed.
    """
    found = PictureFiles(videos)
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, ValueError):  # a name with a zero byte
        raise SourceError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if not is_folder:
        found.paths.append(path)
        return found
    found.add_folder(path, recursive)
    if not found.paths and found.problems:
        raise found.problems[0]
    if not found.paths:
        others = f": {found.left_out}" if found.left_out else ""
        what = "neither pictures nor videos" if videos else "no pictures"
        raise SourceError(f"{path} holds {what} ({', '.join(sorted(SUFFIXES))}){others}")
    return found


def describe_left_out(others: Counter[str], hidden: int, sub_folders: int) -> str:
    """What of a folder is left out, in words; empty where nothing is.

    Args:
        others: The number of files that are no pictures, by their suffixes.
        hidden: The number of hidden files and folders.
        sub_folders: The number of sub-folders that are not read.
    """
    parts = []
    if others:
        names = [suffix or "without suffix" for suffix, _ in others.most_common(MAX_NAMED)]
        names += ["…"] if len(others) > MAX_NAMED else []
        number = others.total()
        nouns = "file that is no picture" if number == 1 else "files that are no pictures"
        parts.append(f"{number} {nouns} ({', '.join(names)})")
    if hidden:
        parts.append(f"{hidden} hidden {'file or folder' if hidden == 1 else 'files or folders'}")
    if sub_folders:
        parts.append(f"{sub_folders} {'sub-folder' if sub_folders == 1 else 'sub-folders'} (--recursive reads them)")
    return ", ".join(parts)


def begins_as_picture(path: Path) -> bool:
    """Whether a file begins like a picture that OpenCV can decode; nothing else than a regular file is opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if stat.S_ISREG(os.stat(path).st_mode) else None
    except OSError:
        return False
    if descriptor is None:
        return False
    try:
        return is_picture(descriptor)
    finally:
        os.close(descriptor)


def holds_animation(path: Path) -> bool:
    """Whether a regular file is an animation or a row of JPEGs, which FFmpeg reads picture by picture."""
    with path.open("rb") as file:
        start = file.read(ANIMATION_BYTES)
    if start.startswith((b"GIF8", b"\x89PNG")):
        with suppress(ValueError):
            header = read_header(start)
            return header is not None and header.several
        return False
    return not path.suffix and b"\xff\xd9\xff\xd8" in start


def is_picture(descriptor: int) -> bool:
    """Whether an open regular file begins like a picture that OpenCV can decode."""
    return cv2.haveImageReader(f"/proc/self/fd/{descriptor}")  # OpenCV ends the process for a name that is not UTF-8


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False
