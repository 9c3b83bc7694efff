"""Labelled faces in a tree of class folders, SPLIT/CLASS/picture or CLASS/picture."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2

from fer_edge.edge.errors import DataError, SinkError, printable, shortened
from fer_edge.edge.sources.picture_files import SUFFIXES, begins_as_picture
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.class_names import clean
from fer_edge.train.data.contact_sheets import is_contact_sheet
from fer_edge.train.data.crop_journal import JOURNAL, LEFT_OUT
from fer_edge.train.data.listing import Listing
from fer_edge.train.data.photo_tree import DETAILS
from fer_edge.train.data.splits import SPLIT_NAMES, SYSTEM_FOLDERS, Dataset

OUTSIDE, NO_SPLIT, SUB_FOLDERS = "files outside class folders", "folders that are no split", "sub-folders of a class"
NO_PICTURES, HIDDEN = "files that are no pictures", "hidden files and folders"
"""What a tree may hold besides its pictures."""

MAX_DEPTH = 4
"""Folders in each other, each of them alone, that may lie around the splits or classes."""

EXPECTED = "expected SPLIT/CLASS/picture (train/happy/a.jpg; train|test or train|val|test) or CLASS/picture"

_logger = logging.getLogger(__name__)


def list_folders(root: Path) -> Listing:
    """List the pictures in a tree of class folders.

    Args:
        root: Holds a folder for each split (SPLIT_NAMES), which holds one for each class, which holds pictures of any
            size; or the folders of the classes themselves, which then are the train split; or a single folder with
            these.

    Returns:
        The pictures in the order of their names, with what else there is counted. The labels are the names of the
        class folders, of those without pictures too.

    Raises:
        DataError: There are no pictures, two folders are the same split, or a folder cannot be listed.
    """
    left_out: Counter[str] = Counter()
    top, folders = _outer_folders(root, left_out)
    listing = Listing(root, top, left_out=left_out)
    splits = _splits(top, folders)
    if splits:
        left_out.update({NO_SPLIT: len(folders) - len(splits)} if len(folders) > len(splits) else {})
        for split, folder in splits:
            for class_folder in _sub_folders(folder, left_out):
                _add_class(listing, split, class_folder)
    else:
        for folder in folders:
            _add_class(listing, "train", folder)
        if listing.paths:
            _logger.info(f"{top}: its folders are no splits but classes; all pictures are the train split")
    if not listing.paths:
        counts = ", ".join(f"{name} ({count})" for name, count in left_out.items())
        others = f"; it has {counts}" if counts else ""
        raise DataError(f"{root}: no pictures found; {EXPECTED}{_deeper(folders)}{others}")
    return listing


def _outer_folders(root: Path, left_out: Counter[str]) -> tuple[Path, list[Path]]:
    """The folder that holds splits or classes, and its folders: the root, or what it holds alone."""
    top, folders = root, _sub_folders(root, left_out)
    for _ in range(MAX_DEPTH):
        if len(folders) != 1 or _splits(top, folders) or not _holds_folders_alone(folders[0]):
            break
        (top,) = folders
        folders = _sub_folders(top, left_out)
    if top != root:
        _logger.info(f"{root}: reading {top}, the only folder in it")
    return top, folders


def _splits(top: Path, folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """The folders that are splits; DataError where two are the same."""
    splits = [(SPLIT_NAMES[folder.name.lower()], folder) for folder in folders if folder.name.lower() in SPLIT_NAMES]
    names = [name for name, _ in splits]
    for name in names:
        if names.count(name) > 1:
            same = " and ".join(f"{folder.name}/" for split, folder in splits if split == name)
            raise DataError(f"{top} has {same}, which are both the {name} split; merge or rename one of them")
    return splits


def _add_class(listing: Listing, split: str, folder: Path) -> None:
    """Add the pictures of a class folder."""
    label = clean(folder.name)
    listing.code(label)  # a class without pictures here is one nevertheless
    folders, files = _list(folder, listing.left_out)
    listing.left_out.update({SUB_FOLDERS: len(folders)} if folders else {})
    prefix = folder.relative_to(listing.folder)
    for path in files:
        if _is_picture(path):
            listing.add(split, label, os.path.join(prefix, path.name))
        else:
            detail = DETAILS.get(path.suffix.lower())
            listing.left_out[f"{path.suffix.lower()} files, {detail}" if detail else NO_PICTURES] += 1


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or (not path.suffix and begins_as_picture(path))


def _holds_folders_alone(folder: Path) -> bool:
    folders, files = _list(folder, Counter())
    return bool(folders) and not any(map(_is_picture, files))


def _deeper(folders: Sequence[Path]) -> str:
    """A hint for trees whose pictures may lie deeper than expected."""
    for folder in folders:
        inner, _ = _list(folder, Counter())
        if inner:
            names = shortened(printable(", ".join(path.name for path in inner)))
            return f"; {printable(folder)} holds the folders {names}: is it what should be read?"
    return ""


def _sub_folders(folder: Path, left_out: Counter[str]) -> list[Path]:
    """The folders in one that has no pictures of its own; its files are counted."""
    folders, files = _list(folder, left_out)
    others = sum(not _describes_crops(path) for path in files)
    left_out.update({OUTSIDE: others} if others else {})
    return folders


def _describes_crops(path: Path) -> bool:
    """Whether a file is one that 'data crop' and 'data record' write beside class folders."""
    return path.name in (JOURNAL, LEFT_OUT) or is_contact_sheet(path)


def _list(folder: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, sorted; what is hidden is counted. Raises DataError."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from None
    folders: list[Path] = []
    files: list[Path] = []
    for path in (folder / name for name in names):
        if path.name.startswith(".") or path.name.lower() in SYSTEM_FOLDERS:
            left_out[HIDDEN] += 1
        else:
            (folders if os.path.isdir(path) else files).append(path)
    return folders, files


def write_folders(dataset: Dataset, directory: Path) -> int:
    """Write every picture as SPLIT/CLASS/NNNNN.png, all of them or, on a full disk or an interrupt, none.

    Args:
        dataset: What to write.
        directory: A directory that does not exist yet.

    Returns:
        The number of pictures.

    Raises:
        DataError: The directory exists, or a class's name cannot be a folder's.
        SinkError: It cannot be written.
    """
    if directory.exists():
        raise DataError(f"{directory} exists; expected a new folder, so that two data sets are not mixed")
    for class_name in dataset.classes:
        if "/" in class_name or class_name.startswith(".") or class_name.lower() in (*SPLIT_NAMES, *SYSTEM_FOLDERS):
            raise DataError(f"the class '{class_name}' cannot be a folder that is read again; rename it with --classes")
    total = sum(map(len, dataset.splits.values()))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        hidden = tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.")  # renamed at the end
        with hidden as temporary, progress_bar("writing pictures", total) as bar:
            building = Path(temporary) / "tree"
            for name, split in dataset.splits.items():
                for class_name in dataset.classes:
                    (building / name / class_name).mkdir(parents=True)
                for index, (face, label) in enumerate(zip(split.faces, split.labels, strict=True)):
                    ok, encoded = cv2.imencode(".png", face)
                    assert ok
                    (building / name / dataset.classes[label] / f"{index:05d}.png").write_bytes(encoded.tobytes())
                    bar.update()
            os.replace(building, directory)
    except OSError as error:
        raise SinkError(f"{directory} cannot be written: {error.strerror or error}; nothing was written") from None
    return total
