"""The labels inside a .tflite file: labels.txt in the zip archive that TFLite metadata appends to the model."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile
from zlib import error as ZlibError

from fer_edge.edge.errors import ModelError
from fer_edge.edge.types import EMOTIONS

# zipfile, although only some hundred bytes are needed: its import takes 1.3 ms (`python -X importtime`, shutil, bz2 and
# lzma being loaded anyway) and a file 0.1 ms more than a reader of our own. Over 30 pairs of `fer-edge predict PICTURE`
# with the one and the other in turns that does not show: the ratio of the median CPU times was 0.97, and over 15 pairs
# the median ratio of the wall times 1.02.

LABELS_FILE = "labels.txt"


def read_labels(model: Path) -> tuple[str, ...] | None:
    """Read the labels that a .tflite file carries.

    Args:
        model: The .tflite file.

    Returns:
        The labels in the order of the model's output; None if the file carries none.

    Raises:
        ModelError: The file or the archive in it cannot be read.
    """
    try:
        if not is_zipfile(model):
            return None
        with ZipFile(model) as archive:
            if LABELS_FILE not in archive.namelist():
                return None
            return tuple(archive.read(LABELS_FILE).decode().splitlines())
    # RuntimeError: encrypted; NotImplementedError, one of them: an unknown compression
    except (OSError, EOFError, ValueError, RuntimeError, BadZipFile, ZlibError) as error:
        raise ModelError(f"{model}: the labels inside cannot be read ({error}); fetch or convert it again") from None


def check_labels(model: Path) -> None:
    """Check that a .tflite file carries EMOTIONS in their order, or no labels. Raises ModelError."""
    labels = read_labels(model)
    if labels not in (None, EMOTIONS):
        raise ModelError(f"{model} carries the labels {', '.join(labels or ())}; expected {', '.join(EMOTIONS)}")
