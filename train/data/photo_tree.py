"""The photographs below a folder with the class folder of each, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fer_edge.edge.errors import DataError, printable, shortened
from fer_edge.edge.files.paths import file_identity
from fer_edge.edge.sources.picture_files import SUFFIXES, begins_as_picture
from fer_edge.edge.types import classes_problem
from fer_edge.train.data.splits import SPLIT_NAMES, SYSTEM_FOLDERS

HIDDEN, NO_PICTURE, OUTSIDE, UNLISTED = "hidden", "no picture", "outside class folders", "folder cannot be listed"
"""Why a file or folder is no photograph of a class."""

DETAILS = {
    **dict.fromkeys((".heic", ".heif"), "OpenCV cannot read HEIC; export it as JPEG"),
    **dict.fromkeys((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"), "raw data; export it as JPEG"),
    **dict.fromkeys(
        (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"), "a video, for: data record --source"
    ),
}
"""What to do about a file that holds pictures after all, by its suffix."""


@dataclass(frozen=True)
class Photograph:
    """A picture file.

    Attributes:
        path: Where it is.
        folder: Its class folder in a data set, such as awake or train/awake.
        name: Its name without suffix, after the names of the sub-folders of the class folder that it lies in: anna_01
            of awake/anna/01.jpg.
    """

    path: Path
    folder: Path
    name: str


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is left out.

    Attributes:
        path: Where it is.
        reason: Why, in the words that are counted.
        detail: What else there is to say; may be empty.
    """

    path: Path
    reason: str
    detail: str = ""


@dataclass
class PhotoTree:
    """What lies below a folder.

    Attributes:
        photographs: The pictures in class folders, in the order of the names, a folder's own before its sub-folders'.
        left_out: Everything else.
    """

    photographs: list[Photograph] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def find_photographs(root: Path, class_name: str | None = None, split: str | None = None) -> PhotoTree:
    """Find the photographs below a folder.

    Args:
        root: Holds class folders, or split folders with class folders, which may have sub-folders of their own.
        class_name: The class of all pictures in `root`, which has no sub-folders with pictures then; None where its
            folders are the classes.
        split: The split that all of them belong to; None where the folders say so, or nobody does.

    Returns:
        The photographs, at least one, and what is left out.

    Raises:
        DataError: There is no such folder, or it is laid out otherwise.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; expected a folder of class folders with pictures (CLASS/*.jpg)")
    tree, loose, top = PhotoTree(), 0, Path(split or "")
    for path, reason, detail in _files(root):
        folder = path.parent.relative_to(root)
        if reason:
            tree.left_out.append(LeftOut(path, reason, detail))
        elif class_name is not None and folder == Path():
            tree.photographs.append(Photograph(path, top / class_name, path.stem))
        elif class_name is not None:
            raise DataError(
                f"{root} has pictures in sub-folders ({shortened(printable(folder))}); with --class it must be a flat "
                "folder of one class: give each sub-folder by itself, or leave --class out if they are the classes"
            )
        elif len(folder.parts) >= (depth := _depth(folder)):
            if split is not None and depth > 1:
                raise DataError(f"{root} has the split {shortened(printable(folder.parts[0]))}; leave --split out")
            name = "_".join((*folder.parts[depth:], path.stem))
            tree.photographs.append(Photograph(path, top.joinpath(*folder.parts[:depth]), name))
        else:
            loose += 1
            tree.left_out.append(LeftOut(path, OUTSIDE))
    if tree.photographs:
        return tree
    if loose:
        raise DataError(
            f"{root} holds {loose} pictures and no class folders with pictures; if they are all of one class, give "
            "--class NAME, else sort them into folders with the names of the classes"
        )
    others = listed(each.reason for each in tree.left_out)
    raise DataError(f"{root} holds no pictures{': ' + others if others else ''}; expected CLASS/*.jpg")


def check_class(name: str) -> None:
    """Check the name of a class that becomes a folder; DataError where it cannot."""
    problem = classes_problem((name, "b" if name == "a" else "a"))  # it takes two classes at least
    if problem is None and ("/" in name or name.startswith(".")):
        problem = f"a class is called '{name}', which is no name of a folder that is shown"
    if problem is None and name.lower() in SPLIT_NAMES:
        problem = f"a class is called '{name}', which is the name of a split"
    if problem is not None:
        raise DataError(f"--class: {problem}")


def listed(reasons: Iterable[str]) -> str:
    """Reasons with their numbers in words, the most frequent first; '' for none."""
    return ", ".join(f"{reason} ({count})" for reason, count in Counter(reasons).most_common())


def check_layout(root: Path, folders: Iterable[Path]) -> None:
    """Check that a data set has its classes either in split folders or at the root, as the others are not read.

    Args:
        root: Its folder, which need not exist.
        folders: Class folders that are added, such as awake or val/awake.

    Raises:
        DataError: It would have both.
    """
    tops = {folder.parts[0] for folder in folders}
    if root.is_dir():
        tops |= {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    splits = sorted(name for name in tops if name.lower() in SPLIT_NAMES)
    classes = sorted(tops - set(splits))
    if splits and classes:
        raise DataError(
            f"{root} would have the splits {shortened(printable(', '.join(splits)))} beside the classes "
            f"{shortened(printable(', '.join(classes)))}, of which only the splits are read; put all classes into "
            "split folders, such as train"
        )


def _depth(folder: Path) -> int:
    """The number of parts of a class folder's path, relative to the root: two where the first is a split's."""
    return 2 if folder.parts and folder.parts[0].lower() in SPLIT_NAMES else 1


def _files(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Every file below a folder, with the reason why it is no picture ('' where it is one) and a detail.

    What is hidden comes as one, and so does a folder that cannot be listed; each folder is read once, however it is
    linked.
    """
    pending, met = [root], {file_identity(root)}
    while pending:
        folder, inner = pending.pop(), []
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            yield folder, UNLISTED, str(error.strerror)
            continue
        for path in (folder / name for name in names):
            suffix = path.suffix.lower()
            if path.name.startswith(".") or path.name.lower() in SYSTEM_FOLDERS:
                yield path, HIDDEN, ""
            elif os.path.isdir(path):
                if (identity := file_identity(path)) not in met:
                    met.add(identity)
                    inner.append(path)
            elif suffix in SUFFIXES or (not suffix and begins_as_picture(path)):
                yield path, "", ""
            else:
                yield path, NO_PICTURE, DETAILS.get(suffix, "")
        pending += reversed(inner)
