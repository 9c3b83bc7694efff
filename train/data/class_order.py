"""Compare the classes of a model with those of the data, and bring the one into the order of the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.train.data.splits import Dataset, Split

_logger = logging.getLogger(__name__)


def class_order(given: Sequence[str], expected: Sequence[str], model: str) -> NDArray[np.intp]:
    """The columns of a model's output in the order of other classes; another order than the model's is logged.

    Args:
        given: (C,) names of the model's classes.
        expected: (C,) names of the data's classes.
        model: What the model is called in messages.

    Returns:
        (C,) indices: `logits[:, indices]` are in the order of the data's classes.

    Raises:
        ModelError: The names differ.
    """
    if set(given) != set(expected):
        raise ModelError(
            f"{model} has the classes {named(given)}; the data has {named(expected)}; expected the same names; "
            "--classes says what the data's are"
        )
    if tuple(given) != tuple(expected):
        _logger.info(f"{model} has its classes in another order than the data; they are matched by name")
    return np.array([list(given).index(name) for name in expected], np.intp)


def in_class_order(split: Split, classes: tuple[str, ...], model: str) -> Split:
    """A split with its labels in the order of a model's classes; another order is logged.

    Args:
        split: The split.
        classes: (C,) names of the model's classes.
        model: What the model is called in messages.

    Raises:
        ModelError: The names differ.
    """
    return _in_order(split, class_order(classes, split.classes, model), classes)


def dataset_in_class_order(dataset: Dataset, classes: tuple[str, ...], model: str) -> Dataset:
    """A data set with its labels in the order of a model's classes, as `in_class_order` does it."""
    order = class_order(classes, dataset.classes, model)
    return replace(dataset, splits={name: _in_order(each, order, classes) for name, each in dataset.splits.items()})


def _in_order(split: Split, order: NDArray[np.intp], classes: tuple[str, ...]) -> Split:
    """A split with labels and votes of other classes. order: (C,) the new index of each class."""
    votes = None if split.votes is None else split.votes[:, np.argsort(order)]
    return Split(split.faces, order[split.labels], classes, votes)


def named(classes: Iterable[str]) -> str:
    """The names of classes in a message, of which a long list is cut."""
    return shortened(", ".join(classes), 160)
