"""Every hyperparameter of a run in one small dataclass; the command line overrides any field."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fer_edge.edge.errors import DataError
from fer_edge.edge.preprocess import INPUT_SIZE


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one set of trainable layers, one input size and one base learning rate."""

    name: str
    epochs: int
    rate: float
    size: int


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Rates are learning rates, sizes are pixels, fractions are 0..1."""

    name: str = "best"
    seed: int = 1
    batch_size: int = 64
    # or mixed_bfloat16: twice as fast for dense convolutions where the processor has AMX, slower for depthwise ones
    precision: str = "float32"
    # phase 1: the head alone, the backbone frozen
    warmup_epochs: int = 1
    warmup_rate: float = 1e-3
    warmup_size: int = 64
    # phase 2: every layer on smaller pictures (1.8 times cheaper); then at full size, the top blocks, then every layer
    small_epochs: int = 0
    small_rate: float = 8e-4
    small_size: int = 72
    top_epochs: int = 6
    top_rate: float = 8e-4
    full_epochs: int = 2
    full_rate: float = 8e-4
    schedule: str = "cosine"  # one half-cosine over phase 2, or 'constant'
    optimizer: str = "adamw"  # or 'adam', or 'sgd' with Nesterov's momentum of 0.9
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    class_weights: str = "sqrt"  # 'balanced' is 1/frequency, 'sqrt' its square root, or 'none'
    # ReduceLROnPlateau and EarlyStopping watch the validation loss; epochs without a gain
    plateau_patience: int = 3
    plateau_factor: float = 0.3
    stop_patience: int = 8
    # augmentation, of the training split only
    flip: float = 0.5
    rotation: float = 12.0  # degrees either way
    zoom: float = 0.12  # fraction either way
    shift: float = 0.08  # fraction of the side either way
    contrast: float = 0.2  # fraction either way
    brightness: float = 15.0  # gray levels either way
    gamma: float = 0.0  # largest change of the gamma's logarithm, either way
    noise: float = 0.0  # largest standard deviation of a dim camera's noise, gray levels
    erase: float = 0.0  # probability of a gray rectangle
    mixup: float = 0.0  # alpha of the Beta distribution that mixes two faces; 0 is none
    # an exponential moving average of the weights is validated and kept; its momentum, 0 is none
    ema: float = 0.0
    # what else than the label is learnt, where it is given: shares of the target and of the loss, 0..1
    votes_share: float = 0.3
    teacher_share: float = 0.7
    teacher_temperature: float = 2.0
    teacher_views: str = "plain"  # judged once, or 'augmented': teachers see every view that the student sees
    teacher_precision: str = "float32"  # of the teachers' own arithmetic on augmented views, as above
    # a teacher may leave out one fold of the train split, to judge that fold's faces unseen; 0 folds is all of it
    folds: int = 0
    fold: int = 0

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


def recipe(name: str, network: str, **overrides: object) -> Recipe:
    """The named recipe for a network, with fields replaced; DataError where a field has no such value."""
    own = _FOR_NETWORK.get(network, {}) if name == "best" else {}
    changed = replace(RECIPES[name], **{**own, **overrides})  # type: ignore[arg-type]
    for field, choices in _CHOICES.items():
        if getattr(changed, field) not in choices:
            raise DataError(f"recipe field {field} is {getattr(changed, field)!r}; expected {', '.join(choices)}")
    for field, (least, most) in _RANGES.items():
        value = getattr(changed, field)
        if not (least <= value <= most and math.isfinite(value)):
            wanted = f"a number from {least}" + (f" to {most}" if math.isfinite(most) else "")
            raise DataError(f"recipe field {field} is {value}; expected {wanted}")
    if changed.folds == 1:
        raise DataError("recipe field folds is 1, which leaves every face out; expected 0 for none, or 2 or more")
    if changed.folds and changed.fold >= changed.folds:
        raise DataError(
            f"recipe field fold is {changed.fold}; expected 0 to {changed.folds - 1}, with {changed.folds} folds"
        )
    if not changed.phases():
        raise DataError("the recipe has no epochs; expected at least one phase with epochs")
    return changed
