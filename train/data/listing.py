"""Picture files with their split and label, however they were found, and the faces in them."""

from __future__ import annotations

import hashlib
import logging
import os
from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.arguments import MAX_CLASSES
from fer_edge.edge.errors import DataError, SourceError, shortened
from fer_edge.edge.preprocess import shrink
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.data.face_cache import FaceReader, ReadFaces, read_cache
from fer_edge.train.data.splits import SPLITS

TINY = 24
"""Pixels of the shorter side below which a picture is tiny: it is enlarged, and shows little of a face."""

LARGE = 480
"""Pixels of the longer side from which a picture may show more than a face, as one does whose sides differ by more than
OBLONG."""

OBLONG = 1.35
"""Longer side divided by the shorter one; a picture becomes a square."""

_DECODERS, _CHUNK = 4, 512

_logger = logging.getLogger(__name__)


@dataclass
class Listing:
    """Picture files in the order in which they are read.

    Attributes:
        source: What was listed: a folder, or a CSV.
        folder: The folder that the paths are relative to.
        labels: The labels' texts.
        paths: The pictures' paths.
        splits: Index in SPLITS of each picture.
        codes: Index in labels of each picture.
        left_out: Numbers of files and folders that are no pictures of a class, by their kind in words.
    """

    source: Path
    folder: Path
    labels: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    splits: array[int] = field(default_factory=lambda: array("B"))
    codes: array[int] = field(default_factory=lambda: array("B"))
    left_out: Counter[str] = field(default_factory=Counter)

    def code(self, label: str) -> int:
        """The index of a label, which is added where it is new; DataError where there are too many."""
        if label not in self.labels:
            if len(self.labels) == MAX_CLASSES:
                raise DataError(
                    f"{self.source} has more than {MAX_CLASSES} classes ({shortened(', '.join(self.labels[:3]))}, …); "
                    f"expected at most {MAX_CLASSES}"
                )
            self.labels.append(label)
        return self.labels.index(label)

    def add(self, split: str, label: str, path: str) -> None:
        """Add a picture; DataError where there are too many labels."""
        self.codes.append(self.code(label))
        self.splits.append(SPLITS.index(split))
        self.paths.append(path)

    def stamp(self, skip_bad: bool) -> dict[str, str | bool]:
        """What the cache of the pictures is valid for: their names, sizes and times of change, splits and labels."""
        digest = hashlib.sha256()
        for path, split, code in zip(self.paths, self.splits, self.codes, strict=True):
            try:
                stat = os.stat(self.folder / path)
                size, time = stat.st_size, stat.st_mtime_ns
            except OSError:
                size = time = -1
            digest.update(os.fsencode(f"{path}\0{split}\0{code}\0{size}\0{time}\n"))
        return {"pictures": digest.hexdigest(), "skip_bad": skip_bad}


def size_counts(height: int, width: int) -> dict[str, int]:
    """Whether a picture is tiny, or may show more than a face, as numbers that can be added."""
    shorter, longer = sorted((height, width))
    return {"tiny": int(shorter < TINY), "large": int(longer >= LARGE or longer > OBLONG * shorter)}


def read_listing(listing: Listing, skip_bad: bool) -> ReadFaces:
    """Read the pictures of a listing, or their cache.

    Args:
        listing: The pictures.
        skip_bad: Whether pictures that cannot be decoded are counted instead of raising.

    Returns:
        The faces; their rows are the pictures' indices in the listing.

    Raises:
        DataError: A picture cannot be decoded.
        SinkError: There is no space for faces that are too many for memory.
    """
    stamp = {**listing.stamp(skip_bad), "labels": listing.labels}
    cached = read_cache(listing.source, stamp)
    total = len(listing.paths)
    if cached is not None and all(split.rows.max() < total for split in cached.splits.values()):
        return cached
    _logger.info(f"reading {total} pictures of {listing.source} (once; the result is cached)")
    counts = Counter(skipped=0, tiny=0, large=0)
    workers = min(_DECODERS, os.cpu_count() or 1)
    with (
        FaceReader(listing.source) as reader,
        ThreadPoolExecutor(workers) as pool,
        progress_bar("reading pictures", total) as bar,
    ):
        for start in range(0, total, _CHUNK):
            paths = [listing.folder / path for path in listing.paths[start : start + _CHUNK]]
            for row, picture in enumerate(pool.map(_decoded, paths), start):
                if picture is not None:
                    face, sizes = picture
                    counts.update(sizes)
                    reader.add(SPLITS[listing.splits[row]], listing.codes[row], row, face)
                elif skip_bad:
                    counts["skipped"] += 1
                else:
                    raise DataError(
                        f"{listing.folder / listing.paths[row]} cannot be decoded as a picture of up to "
                        f"{MAX_PIXELS / 1e6:.0f} million pixels; repair it or pass --skip-bad"
                    )
                bar.update()
        return reader.finish(stamp, listing.labels, counts)


def _decoded(path: Path) -> tuple[NDArray[np.uint8], dict[str, int]] | None:
    """The (48, 48) face in a picture file and its `size_counts`; None where it cannot be decoded."""
    try:
        pixels = load_picture(path, gray=True, pipes=False).pixels
    except SourceError:
        return None
    return shrink(pixels), size_counts(*pixels.shape)
