"""What the commands that convert and measure print, and how they start TensorFlow."""

from __future__ import annotations

import logging
from pathlib import Path

from fer_edge.edge.device.environment import TENSORFLOW, set_environment_defaults
from fer_edge.edge.tflite.card import ModelCard


def start_tensorflow() -> None:
    """Import the Keras that TensorFlow imports, with TensorFlow's information and warnings off stderr.

    To be called before TensorFlow is imported: a backend that is missing is then reported in one line.

    Raises:
        ConfigError: As `fer_edge.train.backend.check_backend`.
    """
    set_environment_defaults(TENSORFLOW)
    # TensorFlow's converter logs without a logger, which gives the root one a handler: every line would come twice
    logging.getLogger().addHandler(logging.NullHandler())
    from fer_edge.train.backend import keras  # noqa: F401


def accuracy_line(path: Path, card: ModelCard) -> str:
    """One line with the accuracy of a file in the first runtime of its card, and that of its float network."""
    figures, float_figures = next(iter(card.accuracy["runtimes"].values())), card.accuracy["float"]
    return (
        f"{path}: {100 * figures['accuracy']:.2f} % on val (float {100 * float_figures['accuracy']:.2f} %), "
        f"{100 * figures['agreement']:.1f} % agreement"
    )
