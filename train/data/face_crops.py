"""Face crops for a data set, cut as `fer-edge run` cuts them, from photographs that have one class each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.faces.crop import MARGIN, face_crop
from fer_edge.edge.faces.detector import Detector
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import FACE_SIZE, shrink, to_bgr, to_gray
from fer_edge.edge.sinks.album import MAX_STEM_BYTES, has_mark, marked_png, software_mark
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.types import CheckedOptions, Face, Frame, option
from fer_edge.train.data.crop_journal import CropEntry, CropJournal, new_entry
from fer_edge.train.data.photo_tree import Photograph

MARK = software_mark("fer-edge data crop")
"""Marks a crop, which a run that was interrupted before it had written its journal may replace."""

NO_FACE, TOO_SMALL, SEVERAL, OTHERS = "no face", "face too small", "several faces", "smaller faces"
UNREADABLE, DUPLICATE = "unreadable", "same file"
"""Why a photograph has no crop, or has faces without one."""

SIMILAR_WIDTH = 0.8
"""Width of the second face, in widths of the largest, from which somebody should look which one the class is of."""

SIMILAR = "one almost as large"
"""What is said then."""

SQUARE = 1.34
"""Longer side of a picture, in shorter sides, from which it is no face that was cropped before."""


@dataclass(frozen=True)
class CropOptions(CheckedOptions):
    """How crops are stored.

    Attributes:
        size: Side in pixels.
        colour: Whether they keep their colours.
        crop_margin: Side of the crop in sides of the detected box.
    """

    size: int = option(
        FACE_SIZE,
        "Side of the crops, pixels; 48 is what the networks of this project take, others may need more.",
        metavar="PIXELS",
        minimum=16,
        maximum=1024,
    )
    colour: bool = option(False, "Keep the colours, for networks that take them.")
    crop_margin: float = option(
        MARGIN,
        "Side of the crops in sides of the detected face; the default is that of 'run'.",
        metavar="SIDES",
        minimum=0.5,
        maximum=4,
    )

    def least_width(self, min_face: int | None) -> int:
        """Width in pixels below which a face is too small: as the user says, or half of the crop's."""
        return math.ceil(self.size / 2) if min_face is None else min_face

    def crop(self, frame: Frame, face: Face) -> NDArray[np.uint8]:
        """The crop of a face as it is stored, (size, size) uint8 gray or (size, size, 3) uint8 BGR."""
        return face_crop(frame, face, self.crop_margin, self.size, self.colour)

    def whole(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A whole picture as it is stored, which is a face already."""
        return shrink((to_bgr if self.colour else to_gray)(pixels), self.size)


@dataclass(frozen=True)
class PhotoOptions(CheckedOptions):
    """Which faces of a photograph are cropped."""

    faces: str = option(
        "largest",
        "Faces of a photograph to crop: the largest one, one (photographs with several are left out), or all.",
        choices=("largest", "one", "all"),
    )
    crop: bool = option(True, "Find and crop faces; --no-crop takes each picture for a face and only converts it.")


def width(face: Face) -> float:
    """The width of a face, pixels: the root of its box's area, on which the crop is based as well."""
    return math.sqrt(face.box.width * face.box.height)


def choose_faces(faces: Sequence[Face], which: str, least: float) -> tuple[list[Face], str, str]:
    """Choose the faces of a photograph that are cropped.

    Args:
        faces: The faces that were found, largest first.
        which: largest, one or all.
        least: Width below which a face is too small, pixels.

    Returns:
        The faces, with the reason why others, or all, are left out ('' where none is) and a detail.
    """
    large = [face for face in faces if width(face) >= least]
    if not faces:
        return [], NO_FACE, ""
    if not large:
        return [], TOO_SMALL, f"{width(faces[0]):.0f} px wide"
    if which == "one" and len(large) > 1:
        return [], SEVERAL, f"{len(large)} faces"
    if which == "largest" and len(large) > 1:
        similar = width(large[1]) >= SIMILAR_WIDTH * width(large[0])
        detail = f"{len(large) - 1}{f', {SIMILAR}' if similar else ''}"
        return large[:1], OTHERS, detail
    return large, "", ""


@dataclass(frozen=True, eq=False)
class LoadedPhotograph:
    """A photograph from its file.

    Attributes:
        sha256: Of the file's content; '' where it cannot be read.
        picture: (H, W, 3) BGR or (H, W) gray uint8, upright as its EXIF data says, or why there is none.
    """

    sha256: str
    picture: NDArray[np.uint8] | SourceError


def load_photograph(photograph: Photograph, max_pixels: int, gray: bool) -> LoadedPhotograph:
    """Read a photograph; whatever is wrong with the file is in the result.

    Args:
        photograph: Which.
        max_pixels: Largest width times height that is decoded.
        gray: Whether to decode to gray.
    """
    try:
        picture = load_picture(photograph.path, max_pixels, gray=gray, pipes=False).pixels
        with photograph.path.open("rb") as file:
            return LoadedPhotograph(hashlib.file_digest(file, "sha256").hexdigest(), picture)
    except SourceError as error:
        return LoadedPhotograph("", error)
    except OSError as error:
        return LoadedPhotograph("", SourceError(f"{photograph.path} cannot be read: {error.strerror}"))


class PhotoCropper:
    """Writes the crops of photographs and what was made of each into the journal.

    Attributes:
        oblong: Number of pictures so far that were taken for faces, and are far from square.
    """

    def __init__(
        self, journal: CropJournal, detector: Detector | None, options: CropOptions, which: str, least: int
    ) -> None:
        """Make a cropper that has seen nothing.

        Args:
            journal: The journal of the folder of crops.
            detector: Finds faces; None where each picture is one.
            options: How crops are stored.
            which: The faces of a photograph that are cropped: largest, one or all.
            least: Width below which a face is too small, pixels.
        """
        self._journal, self._detector, self._options = journal, detector, options
        self._which, self._least = which, least
        self.oblong = 0

    def add(self, photograph: Photograph, loaded: LoadedPhotograph) -> None:
        """Write the crops of a photograph, each whole or not at all, and then its entry.

        Args:
            photograph: Which.
            loaded: What is in its file.

        Raises:
            SinkError: A file cannot be written.
        """
        entry = new_entry(photograph.path, photograph.folder, loaded.sha256)
        before, same = self._journal.entries.get(entry.key), None
        if loaded.sha256:
            same = self._journal.same_as(photograph.folder, loaded.sha256)
        if isinstance(loaded.picture, SourceError):
            detail = str(loaded.picture).removeprefix(f"{photograph.path} ")
            self._journal.add(replace(entry, reason=UNREADABLE, detail=detail))
        elif same is not None and (same.photo == entry.photo or not Path(same.photo).exists()):  # touched or moved
            self._journal.add(replace(same, photo=entry.photo, bytes=entry.bytes, time=entry.time))
        elif same is not None:
            self._journal.add(replace(entry, reason=DUPLICATE, detail=f"as {same.photo}"))
        else:
            self._write(entry, photograph, loaded.picture, before)

    def _write(
        self, entry: CropEntry, photograph: Photograph, pixels: NDArray[np.uint8], before: CropEntry | None
    ) -> None:
        if self._detector is None:
            crops, boxes, reason, detail = self._whole(pixels)
        else:
            frame = Frame(pixels)
            faces, reason, detail = choose_faces(self._detector.detect(frame), self._which, self._least)
            crops = [self._options.crop(frame, face) for face in faces]
            boxes = [(face.box.x, face.box.y, face.box.width, face.box.height) for face in faces]
        numbered = self._which == "all" and self._detector is not None
        names = self._names(photograph, entry.photo, len(crops), numbered)
        folder = self._journal.folder / photograph.folder
        for name, crop in zip(names, crops, strict=True):
            write_bytes(folder / name, marked_png(crop, MARK), private=True)
        for name in set(before.files if before is not None else ()) - set(names):  # the photograph was replaced
            if has_mark(folder / name, MARK):
                (folder / name).unlink()
        files = tuple(names)
        self._journal.add(replace(entry, files=files, boxes=tuple(boxes), reason=reason, detail=detail))

    def _whole(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[list[NDArray[np.uint8]], list[tuple[int, int, int, int]], str, str]:
        """What is stored of a picture that is a face already."""
        height, wide = pixels.shape[:2]
        if min(height, wide) < self._least:
            return [], [], TOO_SMALL, f"{wide}x{height} px"
        self.oblong += max(height, wide) > SQUARE * min(height, wide)
        return [self._options.whole(pixels)], [(0, 0, wide, height)], "", ""

    def _names(self, photograph: Photograph, photo: str, count: int, numbered: bool) -> list[str]:
        """Names of crops after the photograph, with the number of the face where all are cropped.

        Where another photograph has the name, or a file that no run of ours wrote: NAME_2, and so on.
        """
        stem, number = clean_stem(photograph.name), 1
        while True:
            base = stem if number == 1 else f"{stem}_{number}"
            names = [f"{base}-{face}.png" if numbered else f"{base}.png" for face in range(1, count + 1)]
            if all(self._is_free(photograph.folder, name, photo) for name in names):
                return names
            number += 1

    def _is_free(self, folder: Path, name: str, photo: str) -> bool:
        owner, place = self._journal.owner(folder, name), self._journal.folder / folder / name
        if owner is not None:
            return owner == photo
        return not place.is_symlink() and (not place.exists() or has_mark(place, MARK))


def clean_stem(stem: str) -> str:
    """A photograph's name for its crop: `_` for what cannot be printed, and no longer than file systems take."""
    clean = "".join(each if each.isprintable() else "_" for each in stem)
    while len(clean.encode()) > MAX_STEM_BYTES:
        clean = clean[:-1]
    return clean
