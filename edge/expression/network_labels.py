"""The classes of a network of another maker: as the user names them, or from what lies in or beside its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.errors import ModelError, printable, shortened
from fer_edge.edge.files.documents import read_limited
from fer_edge.edge.tflite.labels import LABELS_FILE, MAX_BYTES, parse_labels, read_labels
from fer_edge.edge.types import classes_problem


@dataclass(frozen=True)
class NetworkLabels:
    """The classes of a network.

    Attributes:
        names: (C,) in the order of its outputs.
        origin: Where they come from, in words.
        numbered: Whether a file numbers them from 0, "0 Class 1", as Teachable Machine does.
    """

    names: tuple[str, ...]
    origin: str
    numbered: bool = False


def find_labels(model: Path, count: int, given: str | None, named_inside: str | None) -> NetworkLabels:
    """Find the names of a network's classes.

    Args:
        model: The .tflite file.
        count: Number of its classes.
        given: What the user says: the names with commas between them, or a file with one in each line; None where
            nothing is said.
        named_inside: The file in the model's archive that holds the labels, as its metadata says; None where it is not
            said.

    Returns:
        The labels.

    Raises:
        ModelError: There are none, or not as many as classes, or they are no names, or the user says others than are
            inside the file.
    """
    inside = read_labels(model, named_inside or LABELS_FILE)
    if given is None:
        labels = _found(model, inside)
    elif given.endswith(".txt") or ("," not in given and Path(given).is_file()):
        labels = _from_file(Path(given), "--labels")
    else:
        labels = NetworkLabels(tuple(name.strip() for name in given.split(",")), "--labels")
    if labels is None:
        raise ModelError(
            f"{model} does not say what its {count} outputs mean; expected --labels NAME,NAME,… in their order, "
            "or a file with one in each line"
        )
    if len(labels.names) != count:
        names = shortened(", ".join(labels.names))
        raise ModelError(
            f"{labels.origin}: {len(labels.names)} names ({names}); the network tells {count} classes apart: "
            f"expected --labels with {count} in the order of its outputs"
        )
    if problem := classes_problem(labels.names):
        raise ModelError(f"{labels.origin}: {problem}")
    if given is not None and inside is not None and inside != labels.names:
        raise ModelError(
            f"--labels says {shortened(', '.join(labels.names))}; the file itself carries "
            f"{shortened(', '.join(inside))}: leave --labels out, or write others into the file"
        )
    return labels


def _found(model: Path, inside: tuple[str, ...] | None) -> NetworkLabels | None:
    """The labels in the file, or in a text beside it that is named as the tools name it."""
    if inside is not None:
        return NetworkLabels(inside, "the file itself")
    names = (f"{model.stem}_labels.txt", f"{model.stem}.txt", LABELS_FILE, "label.txt", "labelmap.txt")
    beside = [model.with_name(name) for name in names]
    return next((_from_file(path, printable(path)) for path in beside if path.is_file()), None)


def _from_file(path: Path, origin: str) -> NetworkLabels:
    try:
        text = read_limited(path, MAX_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else shortened(error)
        raise ModelError(
            f"{origin}: {path} cannot be read: {reason}; expected a text with a name in each line"
        ) from None
    names = parse_labels(text)
    return NetworkLabels(names, origin, numbered=names != tuple(line.strip() for line in text.rstrip().splitlines()))
