"""The names of the classes in the file of a float network, so that they go where it goes."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile, ZipInfo

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.labels import LABELS_FILE, read_labels
from fer_edge.edge.types import classes_problem
from fer_edge.train.data.fer2013 import CLASSES

ATTRIBUTE = "labels"
"""The attribute of an .h5 file, a list of names."""


def write_classes(path: Path, classes: tuple[str, ...]) -> None:
    """Add the names to a model that Keras wrote: as labels.txt in a .keras archive, as an attribute in an .h5 file."""
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path, "a") as file:
            file.attrs[ATTRIBUTE] = list(classes)
        return
    with ZipFile(path, "a") as archive:
        archive.writestr(ZipInfo(LABELS_FILE), "\n".join(classes) + "\n")


def read_classes(path: Path) -> tuple[str, ...] | None:
    """The names in a .keras or .h5 file as `write_classes` adds them; None where it has none.

    Raises:
        ModelError: They cannot be read.
    """
    if path.suffix != ".h5":
        return read_labels(path)
    import h5py

    with h5py.File(path) as file:
        return tuple(map(str, file.attrs[ATTRIBUTE])) if ATTRIBUTE in file.attrs else None


def checked_classes(path: Path, stored: tuple[str, ...] | None, outputs: int) -> tuple[str, ...]:
    """The classes of a float network.

    Networks that were trained before classes were stored name none: they have FER2013's seven, as have the shipped
    float weights.

    Args:
        path: Its file, for the error message.
        stored: The names in it, or None.
        outputs: The number of its outputs.

    Returns:
        (outputs,) names: those in the file or, where it names none and has seven outputs, FER2013's.

    Raises:
        ModelError: They are no names, or not as many as outputs, or there are none.
    """
    if stored is None and outputs == len(CLASSES):
        return CLASSES
    if stored is None:
        raise ModelError(f"{path} has {outputs} outputs and does not name its classes; expected what training writes")
    if problem := classes_problem(stored):
        raise ModelError(f"{path} names classes that are none: {problem}")
    if len(stored) != outputs:
        raise ModelError(f"{path} has {outputs} outputs and names {len(stored)} classes; expected one for each output")
    return stored
