"""Contact sheets: all pictures of a folder on few pages with their names, for somebody who looks for wrong ones."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import to_bgr
from fer_edge.edge.sources.picture_files import PictureFiles
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.terminal import progress_bar

COLUMNS, ROWS = 10, 8
"""Pictures across and down a page."""

PICTURE, GAP, LINE, TITLE = 112, 16, 14, 44
"""Side of a picture, space beside it, height of a line of its name, and of the page's title, pixels."""

LINES = 2
"""Lines of a picture's name."""

BACKGROUND, INK = (250, 250, 250), (40, 40, 40)
FONT, SCALE, TITLE_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.36, 0.7

QUALITY = 90
"""JPEG quality of a page."""

PREFIX = "contact-"

MARK = b"fer-edge contact sheet"
"""A comment in the file, by which a page is known that may be replaced or removed."""

_CELL = PICTURE + GAP, PICTURE + LINES * LINE + GAP


def write_contact_sheets(root: Path) -> list[Path]:
    """Write root/contact-FOLDER.jpg for each folder below that has pictures, or contact-FOLDER-2.jpg and so on.

    Args:
        root: A tree of class folders. Pages of an earlier time that are not written again are removed.

    Returns:
        The pages.

    Raises:
        SinkError: A page cannot be written.
    """
    tree = PictureFiles()
    tree.add_folder(root, recursive=True)
    by_folder: dict[Path, list[Path]] = {}
    for path in tree.paths:
        if path.parent != root:
            by_folder.setdefault(path.parent, []).append(path)
    written: list[Path] = []
    with progress_bar("drawing contact sheets", sum(map(_pages, by_folder.values()))) as bar:
        for folder, paths in by_folder.items():
            name = printable(folder.relative_to(root))
            for page, pixels in enumerate(contact_sheets(name, paths), start=1):
                place = _free(root, name.replace("/", "-"), page, written)
                done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
                assert done
                write_bytes(place, _marked(data.tobytes()), private=True)
                written.append(place)
                bar.update()
    for path in root.glob(f"{PREFIX}*.jpg"):
        if path not in written and is_contact_sheet(path):
            path.unlink()
    return written


def contact_sheets(title: str, paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """Draw pages of pictures.

    Args:
        title: What they are, for the first line of each page.
        paths: The picture files; one that cannot be read is an empty place.

    Yields:
        (H, W, 3) uint8 BGR.
    """
    each, pages = COLUMNS * ROWS, _pages(paths)
    for page in range(pages):
        shown = paths[page * each : (page + 1) * each]
        rows = math.ceil(len(shown) / COLUMNS)
        sheet = np.full((TITLE + rows * _CELL[1] + GAP, COLUMNS * _CELL[0] + GAP, 3), BACKGROUND, np.uint8)
        number = f", page {page + 1} of {pages}" if pages > 1 else ""
        pictures = "picture" if len(paths) == 1 else "pictures"
        _write(sheet, f"{title}: {len(paths)} {pictures}{number}", GAP, TITLE - GAP, TITLE_SCALE)
        for index, path in enumerate(shown):
            left, top = GAP + index % COLUMNS * _CELL[0], TITLE + index // COLUMNS * _CELL[1]
            _place(sheet, path, left, top)
        yield sheet


def _pages(paths: Sequence[Path]) -> int:
    """The number of pages for so many pictures."""
    return math.ceil(len(paths) / (COLUMNS * ROWS))


def _place(sheet: NDArray[np.uint8], path: Path, left: int, top: int) -> None:
    """Draw a picture and its name."""
    place = sheet[top : top + PICTURE, left : left + PICTURE]
    try:
        pixels = to_bgr(load_picture(path, pipes=False).pixels)
    except SourceError:
        place[:] = 220
    else:
        way = cv2.INTER_AREA if min(pixels.shape[:2]) > PICTURE else cv2.INTER_CUBIC
        place[:] = cv2.resize(pixels, (PICTURE, PICTURE), interpolation=way)
    for line, text in enumerate(caption(path.name)):
        _write(sheet, text, left, top + PICTURE + (line + 1) * LINE - 2, SCALE)


def caption(name: str) -> list[str]:
    """A file's name in one or two lines that fit under its picture, without its middle where it is too long.

    The font of all OpenCV versions has ASCII alone: accents are dropped, and other letters become question marks.
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", printable(name)) if not unicodedata.combining(each))
    text = plain.encode("ascii", "replace").decode()
    lengths = range(len(text), 0, -1)
    first = next((text[:length] for length in lengths if _width(text[:length]) <= PICTURE), text[:1])
    cut = 1 + max(first.rfind(each) for each in "_-. ")
    if cut > len(first) // 2 and _width(text[cut:]) <= PICTURE and first != text:
        first = text[:cut]
    rest = text[len(first) :]
    if _width(rest) > PICTURE:
        rest = next(f"...{rest[-length:]}" for length in lengths if _width(f"...{rest[-length:]}") <= PICTURE)
    return [first, rest] if rest else [first]


def _write(sheet: NDArray[np.uint8], text: str, left: int, base: int, scale: float) -> None:
    cv2.putText(sheet, text, (left, base), FONT, scale, INK, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, FONT, SCALE, 1)[0][0])


def _free(root: Path, name: str, page: int, written: Sequence[Path]) -> Path:
    """The name of a page that none has yet and that is no other picture's."""
    number = page
    while True:
        place = root / f"{PREFIX}{name}{'' if number == 1 else f'-{number}'}.jpg"
        if place not in written and (not place.exists() or is_contact_sheet(place)):
            return place
        number += 1


def _marked(jpeg: bytes) -> bytes:
    """A JPEG with a comment behind its first marker (ITU-T T.81, B.2.4.5)."""
    return jpeg[:2] + b"\xff\xfe" + (len(MARK) + 2).to_bytes(2) + MARK + jpeg[2:]


def is_contact_sheet(path: Path) -> bool:
    """Whether a file is a page that `write_contact_sheets` wrote."""
    if not (path.name.startswith(PREFIX) and path.is_file()):
        return False
    try:
        with path.open("rb") as file:
            return file.read(6 + len(MARK)).endswith(MARK)
    except OSError:
        return False
