"""What the commands that convert and measure print."""

from __future__ import annotations

from pathlib import Path

from fer_edge.edge.device.environment import TENSORFLOW, set_environment_defaults
from fer_edge.edge.tflite.card import ModelCard


def quiet_tensorflow() -> None:
    """Keep TensorFlow's information and warnings off stderr; to be called before TensorFlow is imported."""
    set_environment_defaults(TENSORFLOW)


def accuracy_line(path: Path, card: ModelCard) -> str:
    """One line with the accuracy of a file in the first runtime of its card, and that of its float network."""
    figures, float_figures = next(iter(card.accuracy["runtimes"].values())), card.accuracy["float"]
    return (
        f"{path}: {100 * figures['accuracy']:.2f} % on val (float {100 * float_figures['accuracy']:.2f} %), "
        f"{100 * figures['agreement']:.1f} % agreement"
    )
