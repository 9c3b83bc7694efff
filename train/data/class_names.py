"""From the labels that a data set's folders or rows carry to its classes and their order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ConfigError, DataError, printable, shortened
from fer_edge.edge.types import classes_problem
from fer_edge.train.data.fer2013 import CLASSES, SYNONYMS

FER2013 = "fer2013"
"""The value of --classes that stands for FER2013's seven."""

LEFT_OUT = "-"
"""What --classes gives to a label whose pictures are left out, instead of a name."""

EXPECTED = "expected names in their order (drowsy,awake), LABEL=NAME for each label (1=surprise,2=fear), or fer2013"


@dataclass(frozen=True)
class Naming:
    """Which labels stand for which classes.

    Attributes:
        classes: (C,) names of the classes, in order.
        indices: The class's index by label, see `clean`; -1 for labels whose pictures are left out.
        synonyms: Whether a label may also be another word for one of FER2013's seven.
    """

    classes: tuple[str, ...]
    indices: Mapping[str, int] = field(default_factory=dict)
    synonyms: bool = False

    def index(self, label: str) -> int | None:
        """The index of a label's class, -1 where its pictures are left out; None where nothing is known of it."""
        if self.synonyms:
            name = SYNONYMS.get(clean(label).lower())
            return None if name is None else self.classes.index(name)
        return self.indices.get(clean(label))

    @property
    def numbers(self) -> bool:
        """Whether all of the labels are numbers."""
        return bool(self.indices) and all(map(is_number, self.indices))


SEVEN = Naming(CLASSES, synonyms=True)


def clean(label: str) -> str:
    """A label without spaces around it, its accents composed: macOS has them apart in the names of files."""
    return unicodedata.normalize("NFC", label).strip()


def is_number(label: str) -> bool:
    """Whether a label is a number, whose meaning nobody can see; 1.0 is what some programs write for 1."""
    return re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", label) is not None


def parse_classes(text: str) -> Naming:
    """Read the value of --classes.

    Args:
        text: Names in their order, LABEL=NAME for each label in the classes' order, or 'fer2013'. Several labels with
            one name become one class; LABEL=- leaves the label's pictures out.

    Returns:
        The classes, and what stands for them.

    Raises:
        ConfigError: The text is none of these.
    """
    if text.strip().lower() == FER2013:
        return SEVEN
    items = [clean(item) for item in text.split(",")]
    pairs = [tuple(map(clean, item.split("=", 1))) for item in items if "=" in item]
    if pairs and len(pairs) < len(items):
        (plain, *_) = [item for item in items if "=" not in item]
        raise ConfigError(f"--classes: '{shortened(plain)}' has no '=', others have one; {EXPECTED}")
    labels = [label for label, _ in pairs] or items
    names = [name for _, name in pairs] or items
    classes = tuple(dict.fromkeys(name for name in names if name != LEFT_OUT)) if pairs else tuple(names)
    problem = classes_problem(classes)
    twice = next((label for label in labels if labels.count(label) > 1 or not label), None)
    if problem is None and twice is not None:
        problem = f"the label '{shortened(printable(twice))}' has several names" if twice else "a label is empty"
    if problem is not None:
        raise ConfigError(f"--classes: {problem}; {EXPECTED}")
    index = {name: index for index, name in enumerate(classes)}
    return Naming(classes, {label: index.get(name, -1) for label, name in zip(labels, names, strict=True)})


def resolve_classes(labels: Sequence[str], counts: Sequence[int], naming: Naming | None) -> Naming:
    """Decide which classes a data set's labels stand for.

    Args:
        labels: The labels in the data set, each once.
        counts: Number of pictures with each label, over all splits.
        naming: What --classes says, or None. Without it, the labels are the classes, sorted by name; but labels that
            name all of FER2013's seven, as SYNONYMS has them, are these.

    Returns:
        The classes; each label has an index.

    Raises:
        DataError: It is not clear, or a label has no class; the message says what to pass as --classes.
    """
    if naming is not None:
        unknown = [(label, count) for label, count in zip(labels, counts, strict=True) if naming.index(label) is None]
        if unknown:
            raise DataError(
                f"{_listed([f'{label} ({count} pictures)' for label, count in unknown])}: --classes names no class "
                f"for it; it names {_listed([*(naming.indices or naming.classes)])}"
            )
        return naming
    if {SYNONYMS.get(clean(label).lower()) for label in labels} == set(CLASSES):
        return SEVEN
    names = sorted({clean(label) for label in labels})
    _check_names(names)
    empty = [
        name for name in names if not sum(n for label, n in zip(labels, counts, strict=True) if clean(label) == name)
    ]
    if empty:
        raise DataError(
            f"the classes {_listed(names)}: {_listed(empty)} has no picture in any split; remove it, or name the "
            f"classes: --classes {shortened(','.join(names), 200)}"
        )
    return Naming(tuple(names), {name: index for index, name in enumerate(names)})


def _check_names(names: Sequence[str]) -> None:
    """DataError where labels cannot be the names of classes."""
    if names and all(map(is_number, names)):
        example = ",".join(f"{name}=NAME" for name in sorted(names, key=float))
        raise DataError(
            f"the classes are the numbers {_listed(sorted(names, key=float))}, which say nothing about what they mean; "
            f"name them: --classes {shortened(example, 200)}"
        )
    problem = classes_problem(names)
    if problem is not None:
        known = all(SYNONYMS.get(name.lower()) for name in names)
        hint = "; --classes fer2013 reads a part of FER2013's seven" if names and known else ""
        found = f" (found: {_listed(names)})" if names else ""
        raise DataError(f"{printable(problem)}{found}{hint}")
    for one, other in zip(sorted(names, key=str.casefold), sorted(names, key=str.casefold)[1:], strict=False):
        if one.casefold() == other.casefold():
            raise DataError(
                f"the classes '{one}' and '{other}' differ in capitals alone; rename one of them, or pass --classes "
                f"{one}={one},{other}={one} with the others"
            )


def class_indices(labels: Sequence[str], naming: Naming) -> NDArray[np.int64]:
    """(L,) int64 index of each label's class, -1 where its pictures are left out."""
    return np.array([naming.index(label) for label in labels], np.int64)


def described_classes(labels: Sequence[str], naming: Naming) -> str:
    """The classes in their order, in words, each with the labels that stand for it where they are others."""
    words = []
    for index, name in enumerate(naming.classes):
        others = [label for label in labels if naming.index(label) == index and clean(label) != name]
        words.append(f"{name} ({shortened(printable(', '.join(sorted(others))))})" if others else name)
    whose = "FER2013's classes" if naming.synonyms else f"{len(words)} classes"
    return f"{whose}: {', '.join(words)}"


def _listed(names: Sequence[str], most: int = 10) -> str:
    """Names in an error, the first ones of many."""
    shown = [shortened(printable(name)) for name in names[:most]]
    return ", ".join(shown) + (f", … ({len(names)})" if len(names) > most else "")
