"""Every hyperparameter of a run in one small dataclass; the command line overrides any field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from fer_edge.edge.errors import DataError
from fer_edge.edge.preprocess import INPUT_SIZE


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one set of trainable layers, one input size and one base learning rate."""

    name: str
    epochs: int
    rate: float
    size: int


def _told(default: Any, help: str) -> Any:
    """A field with what `fer-edge train --help` says of it; its range or choices come behind that."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Rates are learning rates, sizes are pixels, fractions are 0..1."""

    name: str = "best"
    seed: int = _told(1, "Of augmentation, dropout and the order of pictures.")
    batch_size: int = _told(64, "Pictures of a step.")
    # bfloat16 is twice as fast for dense convolutions where the processor has AMX, slower for depthwise ones
    precision: str = _told("float32", "Of the network's arithmetic.")
    # phase 1: the head alone, the backbone frozen
    warmup_epochs: int = _told(1, "Epochs of the head alone, the backbone frozen.")
    warmup_rate: float = _told(1e-3, "Learning rate of those.")
    warmup_size: int = _told(64, "Pixels of a picture's side in those.")
    # phase 2: every layer on smaller pictures (1.8 times cheaper); then at full size, the top blocks, then every layer
    small_epochs: int = _told(0, "Epochs of every layer on small pictures.")
    small_rate: float = _told(8e-4, "Learning rate of those.")
    small_size: int = _told(72, "Pixels of a picture's side in those.")
    top_epochs: int = _told(6, "Epochs of the top blocks, at full size.")
    top_rate: float = _told(8e-4, "Learning rate of those.")
    full_epochs: int = _told(2, "Epochs of every layer, at full size.")
    full_rate: float = _told(8e-4, "Learning rate of those.")
    schedule: str = _told("cosine", "Of the learning rate: one half-cosine over all but the warm-up, or none.")
    optimizer: str = _told("adamw", "What steps; sgd has Nesterov's momentum of 0.9.")
    weight_decay: float = _told(0.01, "Of adamw and sgd: the fraction that a weight loses in a step, times the rate.")
    label_smoothing: float = _told(0.1, "Share of the target spread over all classes.")
    class_weights: str = _told("sqrt", "A class counts by 1/frequency (balanced), by its square root, or as it is.")
    # ReduceLROnPlateau and EarlyStopping watch the validation loss
    plateau_patience: int = _told(3, "Epochs without a gain in validation loss before the rate is lowered.")
    plateau_factor: float = _told(0.3, "What the rate is multiplied by then.")
    stop_patience: int = _told(8, "Epochs without a gain in validation loss before a phase ends.")
    keep: str = _told("accuracy", "Which epoch's weights: of the highest validation accuracy, or of the lowest loss.")
    # augmentation, of the training split only
    flip: float = _told(0.5, "Probability of a mirrored face.")
    rotation: float = _told(12.0, "Most degrees a face is turned, either way.")
    zoom: float = _told(0.12, "Most that a face grows or shrinks, as a fraction.")
    shift: float = _told(0.08, "Most that a face is moved, as a fraction of the side, either way.")
    contrast: float = _told(0.2, "Most that contrast changes, as a fraction, either way.")
    brightness: float = _told(15.0, "Most gray levels added, either way.")
    gamma: float = _told(0.0, "Largest change of the gamma's logarithm, either way.")
    noise: float = _told(0.0, "Largest standard deviation of a dim camera's noise, gray levels.")
    erase: float = _told(0.0, "Probability of a gray rectangle.")
    mixup: float = _told(0.0, "Alpha of the Beta distribution that mixes two faces, 0 for none.")
    ema: float = _told(0.0, "Momentum of an average of the weights, which is validated and kept, 0 for none.")
    # what else than the label is learnt, where it is given
    votes_share: float = _told(0.3, "Share of the target that FER+'s votes are, with --ferplus.")
    teacher_share: float = _told(0.7, "Share of the loss that is the teachers', with --teacher.")
    teacher_temperature: float = _told(2.0, "What softens teachers and student for that loss.")
    teacher_views: str = _told("plain", "What teachers judge: each picture once, or every view that the student sees.")
    teacher_precision: str = _told("float32", "Of the teachers' own arithmetic on augmented views.")
    # a teacher may leave out one fold of the train split, to judge that fold's faces unseen
    folds: int = _told(0, "Parts of the train split, one of which is left out, 0 for none.")
    fold: int = _told(0, "Which of them is left out, the first being 0.")

    def phases(self, full_size: int = INPUT_SIZE) -> tuple[Phase, ...]:
        """The phases in order, without those of no epochs; top and full train at the network's own size."""
        every = (
            Phase("warmup", self.warmup_epochs, self.warmup_rate, self.warmup_size),
            Phase("small", self.small_epochs, self.small_rate, self.small_size),
            Phase("top", self.top_epochs, self.top_rate, full_size),
            Phase("full", self.full_epochs, self.full_rate, full_size),
        )
        return tuple(phase for phase in every if phase.epochs > 0)


RECIPES = {
    "best": Recipe(),
    # the recipe of the project's seeds: 20 epochs with the backbone frozen, then the whole of it at 1e-5
    "seed": Recipe(
        name="seed",
        warmup_epochs=20,
        warmup_size=INPUT_SIZE,
        small_epochs=0,
        top_epochs=0,
        full_epochs=30,
        full_rate=1e-5,
        schedule="constant",
        optimizer="adam",
        weight_decay=0.0,
        class_weights="balanced",
        contrast=0.0,
        brightness=0.0,
        erase=0.0,
    ),
    # for a student of teachers: every layer all the way, harder pictures, the mean of its weights
    "distill": Recipe(
        name="distill",
        top_epochs=0,
        full_epochs=40,
        full_rate=1e-3,
        batch_size=128,
        weight_decay=0.02,
        gamma=0.2,
        erase=0.25,
        ema=0.999,
        plateau_patience=40,
        stop_patience=40,
    ),
    # a second run from the weights of a first (--weights models/float/NAME.npz): every layer, one more cosine
    "continue": Recipe(name="continue", seed=2, warmup_epochs=0, top_epochs=0, full_epochs=6, full_rate=6e-4),
}

_TEACHER = {
    "warmup_epochs": 0,
    "top_epochs": 0,
    "full_epochs": 60,
    "full_rate": 0.05,
    "optimizer": "sgd",
    "weight_decay": 5e-4,
    "batch_size": 128,
    "gamma": 0.2,
    "erase": 0.3,
    "stop_patience": 20,
}

# what "best" is for a network where it differs: chosen on the validation split
_FOR_NETWORK: dict[str, dict[str, object]] = {
    "se_mobilenet_v2": {"top_epochs": 5, "full_epochs": 1},
    # its low layers have to move too where they come from another network (EfficientNet-Lite0)
    "efficientnet_b0": {"top_epochs": 0, "full_epochs": 4},
    "inception_resnet_v1": {"warmup_size": 96},  # it takes no smaller ones than 75
    "se_resnet18": _TEACHER,
    "vgg": _TEACHER,
}

_CHOICES = {
    "precision": ("float32", "mixed_bfloat16"),
    "schedule": ("cosine", "constant"),
    "keep": ("accuracy", "loss"),
    "optimizer": ("adamw", "adam", "sgd"),
    "teacher_views": ("plain", "augmented"),
    "teacher_precision": ("float32", "mixed_bfloat16"),
    "class_weights": ("none", "sqrt", "balanced"),
}

# the least and the most of every number; a share or probability is from 0 to 1
_ANY, _SHARE = (0, math.inf), (0, 1)
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 4_000_000),  # a thousand of it is to fit into 32 bits (loop._seed_dropout)
    "batch_size": (1, math.inf),
    **{f"{phase}_epochs": _ANY for phase in ("warmup", "small", "top", "full")},
    **{f"{phase}_rate": _ANY for phase in ("warmup", "small", "top", "full")},
    "warmup_size": (32, 512),  # five halvings need 32
    "small_size": (32, 512),
    "weight_decay": _ANY,
    "label_smoothing": _SHARE,
    "plateau_patience": (1, math.inf),
    "plateau_factor": _SHARE,
    "stop_patience": (1, math.inf),
    "flip": _SHARE,
    "rotation": (0, 180),
    "zoom": (0, 0.9),  # at 1 a face is a point
    "shift": _SHARE,
    "contrast": _SHARE,
    "brightness": (0, 255),
    "gamma": (0, 5),
    "noise": (0, 255),
    "erase": _SHARE,
    "mixup": _ANY,
    "ema": (0, 0.99999),  # at 1 the mean stays where it began
    "votes_share": _SHARE,
    "teacher_share": _SHARE,
    "teacher_temperature": (0.01, 100),
    "folds": _ANY,
    "fold": _ANY,
}


def values(name: str) -> str:
    """Which values a field may have, in words."""
    if name in _CHOICES:
        *others, last = _CHOICES[name]
        return f"{', '.join(others)} or {last}"
    least, most = _RANGES[name]
    return f"from {least}" + (f" to {most}" if math.isfinite(most) else "")


def recipe(name: str, network: str, **overrides: object) -> Recipe:
    """The named recipe for a network, with fields replaced; DataError where a field has no such value."""
    own = _FOR_NETWORK.get(network, {}) if name == "best" else {}
    changed = replace(RECIPES[name], **{**own, **overrides})  # type: ignore[arg-type]
    for item, choices in _CHOICES.items():
        if getattr(changed, item) not in choices:
            raise DataError(f"recipe field {item} is {getattr(changed, item)!r}; expected {', '.join(choices)}")
    for item, (least, most) in _RANGES.items():
        value = getattr(changed, item)
        if not (least <= value <= most and math.isfinite(value)):
            raise DataError(f"recipe field {item} is {value}; expected a number {values(item)}")
    if changed.folds == 1:
        raise DataError("recipe field folds is 1, which leaves every face out; expected 0 for none, or 2 or more")
    if changed.folds and changed.fold >= changed.folds:
        raise DataError(
            f"recipe field fold is {changed.fold}; expected 0 to {changed.folds - 1}, with {changed.folds} folds"
        )
    if not changed.phases():
        raise DataError("the recipe has no epochs; expected at least one phase with epochs")
    return changed
