"""The pictures and videos that a command's arguments and lists name."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from fer_edge.edge.commands.read_folder import refuse_read_folder
from fer_edge.edge.errors import SinkError, SourceError, printable, redact
from fer_edge.edge.files.paths import file_identity, local_path
from fer_edge.edge.sources.picture_files import SUFFIXES, VIDEO_SUFFIXES, begins_as_picture, list_pictures
from fer_edge.edge.sources.remote_pictures import is_remote, list_remote, shown_address

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Input:
    """A picture or video, or an argument or folder that cannot be read, with the reason.

    Attributes:
        path: Its path, or address.
        kind: How it is read.
        error: Why it cannot be; None where it may.
        listed: Whether it was found in a folder, and not named: then it is a file, or an error.
        content: A picture's bytes, which somebody has read already; None where it is to be read from its path.
    """

    path: str
    kind: Literal["picture", "video"] = "picture"
    error: str | None = None
    listed: bool = False
    content: bytes | None = None

    @property
    def name(self) -> str:
        """Its path, or its address without secrets, for results."""
        return shown_address(self.path) if is_remote(self.path) else self.path


@dataclass
class Inputs:
    """All inputs of a command, in their order; one that cannot be read does not stop the others.

    Attributes:
        entries: The inputs.
        folders: The identities (`file_identity`) of the folders that were listed.
        recursive: Whether sub-folders are read, too.
        videos: Whether videos are read.
    """

    recursive: bool = False
    videos: bool = False
    entries: list[Input] = field(default_factory=list)
    folders: set[tuple[int, int] | None] = field(default_factory=set)

    @property
    def noun(self) -> str:
        """What the inputs are."""
        return "pictures and videos" if any(each.kind == "video" for each in self.entries) else "pictures"

    def add_all(self, paths: Iterable[str], *, globs: bool) -> None:
        """Add paths; one that names nothing becomes an input with an error.

        Args:
            paths: Pictures, videos and folders.
            globs: Whether a path may be a pattern, as in '*.jpg' and 'photos/**/*.jpg'.
        """
        for path in paths:
            try:
                self.add(path, globs=globs)
            except SourceError as error:
                self.entries.append(Input(path if is_remote(path) else str(Path(path)), error=str(error)))

    def add(self, path: str, *, globs: bool = True) -> None:
        """Add a path, and log what is left out of a folder; SourceError where it names no picture or video."""
        if not path:
            raise SourceError("an empty path was given, expected a picture or a folder; is a variable not set?")
        if is_remote(path):
            self._add_remote(path)
            return
        place = local_path(path)
        if globs and glob.has_magic(place) and not os.path.lexists(place):
            self._add_matches(place)
            return
        if "://" in path and not os.path.exists(place):
            raise SourceError(f"{redact(path)} is no file; for a camera or stream use fer-edge run --source")
        found = list_pictures(Path(place), self.recursive, self.videos)
        self.folders |= found.folders
        self.entries += [self._input(each, listed=bool(found.folders)) for each in map(str, found.paths)]
        self.entries += [Input(str(Path(place)), error=str(problem)) for problem in found.problems]
        if found.left_out:
            log.info("%s: left out: %s", printable(place), found.left_out)

    def refuse_as_output(self, file: str | None, folder: Path | None) -> None:
        """Check that an output is neither read now nor, as a picture in a folder that is read, the next time.

        Args:
            file: An output file; None or - for none.
            folder: A folder of annotated pictures, which need not exist; None for none.

        Raises:
            SinkError: It would be read.
        """
        if file is not None and file != "-" and (identity := file_identity(file)) is not None:
            for each in self.entries:
                if file_identity(each.path) == identity:
                    raise SinkError(f"--jsonl: {file} is one of the pictures; give another name")
        if folder is not None:
            refuse_read_folder("--save", folder, self.folders, self.recursive)

    def _add_remote(self, address: str) -> None:
        """Add a picture, or the pictures of a folder, in object storage or on a web server."""
        name = redact(address)
        if PurePosixPath(name.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES:
            raise SourceError(f"{name} is a video; copy it to this machine first")
        found = list_remote(address, self.recursive)
        self.entries += [Input(each, listed=found.listed) for each in found.addresses]
        if found.left_out:
            log.info("%s: left out: %s", name, found.left_out)

    def _add_matches(self, pattern: str) -> None:
        """Add the files that a pattern matches, as the shell's, in the order of their names."""
        matches = sorted(glob.iglob(pattern, recursive=True), key=os.fsencode)
        files = [match for match in matches if not os.path.isdir(match)]
        if not files:
            raise SourceError(f"{pattern}: no file matches this pattern")
        self.entries += [self._input(each) for each in files]

    def _input(self, path: str, listed: bool = False) -> Input:
        suffix = os.path.splitext(path)[1].lower()
        if suffix in SUFFIXES:
            return Input(path, listed=listed)
        is_video = suffix in VIDEO_SUFFIXES
        if not self.videos:
            error = f"{path} is a video, of which --every SECONDS takes pictures" if is_video else None
            return Input(path, error=error, listed=listed)
        if is_video or (os.path.isfile(path) and not begins_as_picture(Path(path))):
            return Input(path, "video", listed=listed)
        return Input(path, listed=listed)


def absolute_path(path: str) -> str:
    """A path from the root, for processes that run in another folder; an address, or an empty path, stays."""
    return path if not path or "://" in path else os.path.join(os.getcwd(), path)


def list_inputs(
    paths: Sequence[str], more: Sequence[str] = (), *, recursive: bool = False, videos: bool = False
) -> Inputs:
    """List pictures and videos.

    Args:
        paths: Paths of pictures, videos and folders, and patterns ('photos/**/*.jpg').
        more: Paths from a list, in which a * is a *.
        recursive: Whether sub-folders are read, too.
        videos: Whether videos are read; otherwise a folder's are left out, and one that is named is an error.

    Returns:
        The inputs, in this order.

    Raises:
        SourceError: There is one path alone, which names no picture or video.
    """
    inputs = Inputs(recursive, videos)
    if len(paths) + len(more) == 1:
        for path in paths:
            inputs.add(path)
        for path in more:
            inputs.add(path, globs=False)
        return inputs
    inputs.add_all(paths, globs=True)
    inputs.add_all(more, globs=False)
    return inputs
