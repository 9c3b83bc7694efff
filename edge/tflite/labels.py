"""The labels inside a .tflite file: labels.txt in the zip archive that TFLite metadata appends to the model."""

from __future__ import annotations

import io
import re
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, is_zipfile
from zlib import error as ZlibError

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.types import classes_problem

# zipfile, although only some hundred bytes are needed: its import takes 1.3 ms (`python -X importtime`, shutil, bz2 and
# lzma being loaded anyway) and a file 0.1 ms more than a reader of our own. Over 30 pairs of `fer-edge predict PICTURE`
# with the one and the other in turns that does not show: the ratio of the median CPU times was 0.97, and over 15 pairs
# the median ratio of the wall times 1.02.

LABELS_FILE = "labels.txt"

MAX_BYTES = 64 << 10
"""Bytes of labels.txt, however small the archive packs them."""

MAX_READ = 1 << 20
"""Bytes that zipfile may read at a time, such as an archive's list of files."""


class _ModelFile(io.FileIO):
    """A model file for zipfile, which believes the sizes that an archive states."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes; to the end, which is near then, where it is negative. BadZipFile beyond MAX_READ."""
        if size is not None and size > MAX_READ:
            raise BadZipFile(f"the archive has a list of {size} bytes, expected at most {MAX_READ}")
        return super().read(MAX_READ if size is None or size < 0 else size) or b""


def parse_labels(text: str) -> tuple[str, ...]:
    """Read labels from a text of one per line.

    Args:
        text: The text; numbers before the names, "0 Class 1" as Teachable Machine writes it, are left out where each
            line has its own.

    Returns:
        The names, without spaces around them and without empty lines at the end.
    """
    lines = [line.strip() for line in text.rstrip().splitlines()]
    numbered = [re.fullmatch(rf"{number}[ \t:]+(.+)", line) for number, line in enumerate(lines)]
    return tuple(match[1] if match and all(numbered) else line for match, line in zip(numbered, lines, strict=True))


def read_labels(model: Path, name: str = LABELS_FILE) -> tuple[str, ...] | None:
    """Read the labels that a .tflite file carries.

    Args:
        model: The .tflite file.
        name: Of the file in its archive that holds them.

    Returns:
        The labels in the order of the model's output; None if the file carries none.

    Raises:
        ModelError: The file or the archive in it cannot be read, or its labels are larger than labels are.
    """
    try:
        with _ModelFile(model) as stream:
            return _read_archive(stream, name) if is_zipfile(stream) else None
    # RuntimeError: encrypted; NotImplementedError, one of them: an unknown compression
    except (OSError, EOFError, ValueError, RuntimeError, OverflowError, BadZipFile, ZlibError) as error:
        reason = shortened(error, 120)
        raise ModelError(f"{model}: the labels inside cannot be read ({reason}); fetch or convert it again") from None


def _read_archive(stream: io.FileIO, name: str) -> tuple[str, ...] | None:
    """The labels in the archive at a model's end; None where it has none."""
    with ZipFile(stream) as archive:
        if name not in archive.namelist():
            return None
        entry = archive.getinfo(name)
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # bz2 and lzma unpack whole blocks, however large
            raise BadZipFile("they are packed in another way than TFLite metadata's")
        if entry.file_size > MAX_BYTES:
            raise BadZipFile(f"they have {entry.file_size} bytes, expected at most {MAX_BYTES}")
        with archive.open(entry) as labels:
            return parse_labels(labels.read(MAX_BYTES).decode("utf-8-sig"))


def model_classes(model: Path, expected: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The classes of a classifier in the order of its output.

    Args:
        model: The .tflite file.
        expected: The classes that its card names; None without a card.

    Returns:
        The expected classes, or those that the file carries.

    Raises:
        ModelError: The file carries other labels than the card names, or neither has any, or they are no names.
    """
    labels = read_labels(model)
    if labels is None and expected is None:
        raise ModelError(f"{model} carries no labels and has no card; expected the names of its classes in either")
    if labels is not None and expected not in (None, labels):
        raise ModelError(
            f"{model} carries the labels {shortened(', '.join(labels))}; its card names "
            f"{shortened(', '.join(expected or ()))}"
        )
    classes = expected or labels or ()
    if problem := classes_problem(classes):
        raise ModelError(f"{model} carries labels that are none: {problem}")
    return classes
