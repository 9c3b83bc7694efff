"""The check that no picture is written into a folder that is read."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.paths import file_identity


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
