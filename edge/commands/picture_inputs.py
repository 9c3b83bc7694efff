"""The pictures that a command's arguments name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.errors import SinkError, SourceError, printable, redact
from fer_edge.edge.files.paths import file_identity, local_path
from fer_edge.edge.sources.picture_decoder import LoadedPicture
from fer_edge.edge.sources.picture_files import list_pictures
from fer_edge.edge.sources.pictures import read_pictures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Input:
    """A picture file, or an argument or folder that cannot be read, with the reason."""

    path: Path
    error: SourceError | None = None
    listed: bool = False  # found in a folder, not named


def refuse_read_folder(flag: str, folder: Path, read: Set[tuple[int, int] | None], recursive: bool) -> None:
    """Check that pictures are not written where the next run would read them.

    Args:
        flag: The output's option, for the error.
        folder: Where they are to be written; it need not exist.
        read: Identities of the folders that are read, as in `PictureFiles.folders`.
        recursive: Whether what is in their sub-folders is read, too.

    Raises:
        SinkError: They would be read.
    """
    places = [folder.absolute(), *folder.absolute().parents] if recursive else [folder]
    if {file_identity(place) for place in places} & (read - {None}):
        raise SinkError(
            f"{flag}: {folder} is a folder that is read, and the next run would read the annotated pictures, too; "
            "give a folder outside"
        )


class PictureInputs:
    """Pictures and folders of pictures; one that cannot be read counts as a picture and does not stop the others."""

    def __init__(self, arguments: Sequence[str], recursive: bool, max_pixels: int) -> None:
        """List the pictures, and log what is left out of folders.

        Args:
            arguments: Paths of pictures and folders.
            recursive: Whether sub-folders are read too.
            max_pixels: Largest width times height that is decoded.

        Raises:
            SourceError: There is one argument, which names no picture.
        """
        self._recursive, self._max_pixels = recursive, max_pixels
        self._inputs: list[_Input] = []
        self._folders: set[tuple[int, int] | None] = set()
        for argument in arguments:
            try:
                self._add(argument)
            except SourceError as error:
                if len(arguments) == 1:
                    raise
                self._inputs.append(_Input(Path(argument), error))

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[tuple[Path, LoadedPicture | SourceError]]:
        """Read one after another."""
        for each in self._inputs:
            if each.error is not None:
                yield each.path, each.error
            else:
                yield from read_pictures([each.path], self._max_pixels, pipes=not each.listed)

    def refuse_as_output(self, file: str | None, folder: Path | None) -> None:
        """Check that an output is neither read now nor, as a picture in a folder that is read, the next time.

        Args:
            file: An output file; None or - for none.
            folder: A folder of annotated pictures, which need not exist; None for none.

        Raises:
            SinkError: It would be read.
        """
        pictures = {file_identity(each.path) for each in self._inputs} - {None}
        if file is not None and file != "-" and file_identity(file) in pictures:
            raise SinkError(f"--jsonl: {file} is one of the pictures; give another name")
        if folder is not None:
            refuse_read_folder("--save", folder, self._folders, self._recursive)

    def _add(self, argument: str) -> None:
        if not argument:
            raise SourceError("an empty path was given, expected a picture or a folder; is a variable not set?")
        path = Path(local_path(argument))
        if "://" in argument and not path.exists():
            raise SourceError(f"{redact(argument)} is no file; for a camera or stream use fer-edge run --source")
        found = list_pictures(path, self._recursive)
        self._folders |= found.folders
        self._inputs += [_Input(each, listed=bool(found.folders)) for each in found.paths]
        self._inputs += [_Input(path, problem) for problem in found.problems]
        if found.left_out:
            log.info("%s: left out: %s", printable(path), found.left_out)
