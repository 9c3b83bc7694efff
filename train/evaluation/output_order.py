"""In which order a network's outputs stand for the classes, measured on labelled faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, shortened
from fer_edge.edge.expression.model_input import Crops
from fer_edge.edge.preprocess import FaceCrops, as_format
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.terminal import track
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split

MAX_PICTURES = 1000
"""Pictures that are classified: a large network takes 20 ms each, and the standard error is 1.6 points then."""

MAX_CLASSES = 12
"""Classes whose best order is searched; the work grows by 2^C."""

MIN_GAIN, MIN_SIGMAS = 0.05, 4.0
"""What another order must gain: accuracy, 0..1, and standard errors of the difference.

The best of many orders is a little better by chance alone, which 4 standard errors leave out.
"""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled faces to measure a network on.

    Attributes:
        source: The data set's name.
        name: The name of its split.
        split: The faces, with labels that are indices of the network's classes in the order that the user gave.
        files: (N,) the pictures' files, where the data set is of picture files.
        described: What they are, in words.
    """

    source: str
    name: str
    split: Split
    files: Sequence[Path]
    described: str

    def crops(self, index: int) -> FaceCrops:
        """The crops of one face: of the whole picture in its file, in colour, or else of its (48, 48) gray pixels."""
        gray = self.split.faces[index : index + 1]
        if not self.files:
            return FaceCrops(gray)
        path = self.files[index]
        return FaceCrops(gray, lambda _, form: as_format(load_picture(path, pipes=False).pixels, form))


@dataclass(frozen=True)
class OrderMeasured:
    """How well an order of classes fits a network's outputs.

    Attributes:
        accuracy: Accuracy, 0..1, with the order that the user gave.
        better: (C,) names in an order that fits clearly better; None where there is none.
        better_accuracy: Accuracy with that order, 0..1.
    """

    accuracy: float
    better: tuple[str, ...] | None = None
    better_accuracy: float = 0.0


def load_pictures(path: Path, classes: tuple[str, ...]) -> Pictures:
    """Load the faces to measure a network on: at most MAX_PICTURES of the validation split, or of the first one.

    Args:
        path: A data set, see `fer_edge.train.data.loading.load`.
        classes: (C,) the network's classes.

    Returns:
        The faces.

    Raises:
        DataError: It cannot be read, has no pictures or has other classes.
    """
    dataset = load(path)
    name = "val" if "val" in dataset.splits else next(iter(dataset.splits))
    part = dataset.split(name)
    if set(part.classes) != set(classes):
        raise DataError(
            f"{path} has the classes {shortened(', '.join(part.classes))}; expected those of the network, "
            f"{shortened(', '.join(classes))}"
        )
    if not len(part):
        raise DataError(f"{path}: its split '{name}' is empty; expected labelled pictures")
    rows = np.sort(np.random.default_rng(0).permutation(len(part))[:MAX_PICTURES])
    index = np.array([classes.index(each) for each in part.classes])
    files = [path / dataset.files[name][row] for row in rows] if dataset.files else []
    described = f"{len(rows)} {'pictures' if files else 'gray 48-px pictures'} of {path.name} ({name})"
    return Pictures(path.name, name, Split(part.faces[rows], index[part.labels[rows]], classes), files, described)


def measure(logits: Callable[[Crops], NDArray[np.float32]], pictures: Pictures) -> OrderMeasured:
    """Measure a network, and look for an order of its classes that fits its outputs better.

    Args:
        logits: The network: N faces to (N, C) logits.
        pictures: Labelled faces.

    Returns:
        The accuracy, and a better order where there is one.

    Raises:
        ModelError: A logit is no number.
        SourceError: A picture cannot be read.
    """
    classes, labels = pictures.split.classes, pictures.split.labels
    indices = track(range(len(labels)), "measuring", len(labels))
    predicted = np.array([logits(pictures.crops(index))[0].argmax() for index in indices])
    accuracy = float(np.mean(predicted == labels))
    if len(classes) > MAX_CLASSES:
        return OrderMeasured(accuracy)
    confusion = np.zeros((len(classes), len(classes)), np.int64)  # labels by outputs
    np.add.at(confusion, (labels, predicted), 1)
    order = best_order(confusion)
    right = np.asarray(order)[predicted] == labels
    better = float(right.mean())
    gained, lost = int((right & (predicted != labels)).sum()), int((~right & (predicted == labels)).sum())
    if better - accuracy < MIN_GAIN or gained - lost < MIN_SIGMAS * math.sqrt(gained + lost):
        return OrderMeasured(accuracy)
    return OrderMeasured(accuracy, tuple(classes[label] for label in order), better)


def best_order(confusion: NDArray[np.integer]) -> list[int]:
    """Assign a label to each output so that most pictures are named correctly (linear assignment).

    By dynamic programming over sets of labels, after Held and Karp (1962).

    Args:
        confusion: (C, C) counts; rows are labels, columns outputs.

    Returns:
        (C,) the label of each output.
    """
    count = len(confusion)
    best: dict[int, tuple[int, list[int]]] = {0: (0, [])}  # by the set of labels given to the first outputs
    for output in range(count):
        following: dict[int, tuple[int, list[int]]] = {}
        for used, (correct, order) in best.items():
            for label in range(count):
                if not used >> label & 1:
                    total = correct + int(confusion[label, output])
                    known = following.get(used | 1 << label)
                    if known is None or total > known[0]:
                        following[used | 1 << label] = total, [*order, label]
        best = following
    return best[(1 << count) - 1][1]
