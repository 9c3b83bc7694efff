"""Every hyperparameter of a training run in one dataclass; the command line can override any field."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from fer_edge.edge.config.click_options import info_of
from fer_edge.edge.errors import DataError
from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.edge.types import option
from fer_edge.train.data.conflicts import RESOLUTIONS


@dataclass(frozen=True)
class Phase:
    """A number of epochs with one set of trainable layers, one input size and one base learning rate.

    Attributes:
        name: 'warmup' (head only), 'small' (all layers, small input), 'top' (top blocks) or 'full' (all layers).
        epochs: Number of epochs.
        rate: Base learning rate.
        size: Side of the input, pixels.
    """

    name: str
    epochs: int
    rate: float
    size: int


def _field(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    *,
    metavar: str | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field whose default is shown in the help text, although the command line leaves it to the named recipe."""
    return option(default, help, minimum=low, maximum=high, metavar=metavar, choices=choices, show_default=str(default))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Rates are learning rates, sizes are pixels, fractions are 0..1."""

    name: str = option("best", "Name of the recipe.", cli=False)
    # 1000 * seed has to fit into 32 bits (phase_model.seed_dropout)
    seed: int = _field(1, "Random seed of augmentation, dropout and the order of pictures.", 0, 4_000_000, metavar="N")
    batch_size: int = _field(64, "Pictures per step.", 1, 65_536, metavar="PICTURES")
    # bfloat16 is twice as fast for dense convolutions where the processor has AMX, slower for depthwise ones
    precision: str = _field("float32", "Precision of the network's arithmetic.", choices=("float32", "mixed_bfloat16"))
    # phase 1: the head alone, the backbone frozen; five halvings need 32 pixels
    warmup_epochs: int = _field(1, "Epochs of the warm-up: head only, backbone frozen.", 0, metavar="EPOCHS")
    warmup_rate: float = _field(1e-3, "Learning rate of the warm-up.", 0, metavar="RATE")
    warmup_size: int = _field(64, "Input size of the warm-up, pixels.", 32, 512, metavar="PIXELS")
    # phase 2: every layer on smaller pictures (1.8 times cheaper); then at full size, the top blocks, then every layer
    small_epochs: int = _field(0, "Epochs of all layers on small pictures.", 0, metavar="EPOCHS")
    small_rate: float = _field(8e-4, "Learning rate on small pictures.", 0, metavar="RATE")
    small_size: int = _field(72, "Input size of small pictures, pixels.", 32, 512, metavar="PIXELS")
    top_epochs: int = _field(6, "Epochs of the top blocks, at full size.", 0, metavar="EPOCHS")
    top_rate: float = _field(8e-4, "Learning rate of the top blocks.", 0, metavar="RATE")
    frozen_views: int = _field(
        0,
        "Augmented views of each picture, at most, whose frozen features are computed once; the warm-up and the last "
        "of the top blocks then train on these, an epoch being all views. 0 augments and computes in every step.",
        0,
        1000,
        metavar="VIEWS",
    )
    full_epochs: int = _field(2, "Epochs of all layers, at full size.", 0, metavar="EPOCHS")
    full_rate: float = _field(8e-4, "Learning rate of all layers, at full size.", 0, metavar="RATE")
    schedule: str = _field(
        "cosine",
        "Learning rate schedule: half a cosine over all phases after the warm-up, or constant.",
        choices=("cosine", "constant"),
    )
    optimizer: str = _field("adamw", "Optimizer; sgd has Nesterov momentum of 0.9.", choices=("adamw", "adam", "sgd"))
    weight_decay: float = _field(
        0.01,
        "Decoupled weight decay of adamw and sgd, as a fraction per step, times the learning rate.",
        0,
        metavar="FRACTION",
    )
    label_smoothing: float = _field(
        0.1, "Label smoothing: share of the target spread over all classes.", 0, 1, metavar="SHARE"
    )
    class_weights: str = _field(
        "sqrt",
        "Loss weight of a class: 1/frequency (balanced), its square root (sqrt) or 1 (none).",
        choices=("none", "sqrt", "balanced"),
    )
    # ReduceLROnPlateau and EarlyStopping watch the validation loss
    plateau_patience: int = _field(
        3,
        "Epochs without a lower validation loss before the learning rate is reduced (ReduceLROnPlateau).",
        1,
        metavar="EPOCHS",
    )
    plateau_factor: float = _field(0.3, "Factor of the learning rate on a plateau.", 0, 1, metavar="FACTOR")
    stop_patience: int = _field(
        8, "Epochs without a lower validation loss before a phase stops (early stopping).", 1, metavar="EPOCHS"
    )
    keep: str = _field(
        "accuracy",
        "Select the epoch with the highest validation accuracy or the lowest validation loss.",
        choices=("accuracy", "loss"),
    )
    # augmentation, of the training split only
    flip: float = _field(0.5, "Probability of a horizontal flip.", 0, 1, metavar="PROBABILITY")
    rotation: float = _field(12.0, "Largest rotation, degrees, either way.", 0, 180, metavar="DEGREES")
    # at 1 a face is a point
    zoom: float = _field(0.12, "Largest zoom in or out, as a fraction.", 0, 0.9, metavar="FRACTION")
    shift: float = _field(0.08, "Largest shift, as a fraction of the side, either way.", 0, 1, metavar="FRACTION")
    contrast: float = _field(0.2, "Largest change of contrast, as a fraction, either way.", 0, 1, metavar="FRACTION")
    brightness: float = _field(15.0, "Largest change of brightness, gray levels, either way.", 0, 255, metavar="LEVELS")
    gamma: float = _field(0.0, "Largest change of the logarithm of gamma, either way.", 0, 5, metavar="LOG")
    noise: float = _field(0.0, "Largest standard deviation of Gaussian noise, gray levels.", 0, 255, metavar="LEVELS")
    erase: float = _field(0.0, "Probability of random erasing.", 0, 1, metavar="PROBABILITY")
    corruption: float = _field(
        0.0,
        "Share of faces corrupted as by a camera: small, blurred, noisy, dark, compressed, covered or tilted.",
        0,
        1,
        metavar="SHARE",
    )
    consistency: float = _field(
        0.0,
        "Weight of the divergence of the prediction on a corrupted view of a face from that on a clean view; a batch "
        "has both views, and an epoch twice as many batches. 0 turns it off.",
        0,
        metavar="WEIGHT",
    )
    mixup: float = _field(
        0.0, "Mixup's alpha, of the Beta distribution of the mixing ratio; 0 turns it off.", 0, metavar="ALPHA"
    )
    # at 1 the average stays where it began
    ema: float = _field(
        0.0,
        "Momentum of the exponential moving average (EMA) of the weights; 0 turns it off.",
        0,
        0.99999,
        metavar="MOMENTUM",
    )
    initial_share: float = _field(
        0.0,
        "Share of the initial weights, those of a run of the same network (--weights FILE.npz), in the saved ones "
        "(WiSE-FT).",
        0,
        1,
        metavar="SHARE",
    )
    batch_norm: str = _field(
        "moving",
        "Batch norm's statistics in the weights that are validated and saved: the moving averages of training, or "
        "those of clean faces (always with EMA).",
        choices=("moving", "clean"),
    )
    # of one photograph: FER2013 holds many more than once
    conflicts: str = _field(
        "keep",
        "Different labels of one photograph in the train split: keep them, take the most frequent one (vote; none in a "
        "tie), or drop its rows.",
        choices=RESOLUTIONS,
    )
    # what is learned besides the label
    votes_share: float = _field(
        0.3, "Share of FER+'s votes in the target, with --ferplus or --ferplus-labels.", 0, 1, metavar="SHARE"
    )
    teacher_share: float = _field(0.7, "Weight of the distillation loss, with --teacher.", 0, 1, metavar="WEIGHT")
    teacher_temperature: float = _field(
        2.0, "Distillation temperature, of teachers and student.", 0.01, 100, metavar="T"
    )
    teacher_views: str = _field(
        "plain",
        "Run the teachers once on each plain picture, or on every augmented view that the student sees.",
        choices=("plain", "augmented"),
    )
    teacher_precision: str = _field(
        "float32", "Precision of the teachers' arithmetic on augmented views.", choices=("float32", "mixed_bfloat16")
    )
    # cross-validated teachers: each is trained without one fold, on whose faces alone its logits are used
    folds: int = _field(
        0, "Cross-validation folds of the train split, one of which is held out; 0 turns it off.", 0, metavar="N"
    )
    fold: int = _field(0, "Index of the held-out fold, from 0.", 0, metavar="INDEX")

    def phases(self, full_size: int = INPUT_SIZE) -> tuple[Phase, ...]:
        """The phases in order, without those of no epochs; at the network's own size but for warm-up and small."""
        every = (
            Phase("warmup", self.warmup_epochs, self.warmup_rate, full_size if self.frozen_views else self.warmup_size),
            Phase("small", self.small_epochs, self.small_rate, self.small_size),
            Phase("top", self.top_epochs, self.top_rate, full_size),
            Phase("full", self.full_epochs, self.full_rate, full_size),
        )
        return tuple(phase for phase in every if phase.epochs > 0)


_INFOS = {each.name: info_of(each) for each in fields(Recipe)}

RECIPES = {
    "best": Recipe(),
    # the recipe of the projects this one began with: 20 epochs with the backbone frozen, then all layers at 1e-5
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
    # distillation: all layers throughout, stronger augmentation, EMA of the weights
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
    # a few pictures of other classes, from weights that know faces (--weights fer2013): minutes on a laptop's CPU
    "transfer": Recipe(
        name="transfer",
        warmup_epochs=20,
        warmup_size=INPUT_SIZE,
        top_epochs=12,
        top_rate=1e-4,
        full_epochs=0,
        frozen_views=8,
        schedule="constant",
        stop_patience=5,
        keep="loss",
    ),
    # a second run from the weights of a first one (--weights models/float/NAME.npz): all layers, one more cosine
    "continue": Recipe(name="continue", seed=2, warmup_epochs=0, top_epochs=0, full_epochs=6, full_rate=6e-4),
    # robust to cameras: half of the faces corrupted, all learned from teachers that saw the plain picture (--teacher)
    "robust": Recipe(
        name="robust",
        seed=3,
        warmup_epochs=0,
        top_epochs=0,
        full_epochs=7,
        full_rate=5e-4,
        label_smoothing=0.05,
        gamma=0.2,
        noise=6.0,
        corruption=0.5,
        initial_share=0.3,
        keep="loss",
    ),
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

# where "best" differs for a network: chosen on the validation split
_FOR_NETWORK: dict[str, dict[str, object]] = {
    "se_mobilenet_v2": {"top_epochs": 5, "full_epochs": 1},
    # its low layers have to move too where they come from another network (EfficientNet-Lite0)
    "efficientnet_b0": {"top_epochs": 0, "full_epochs": 4},
    "inception_resnet_v1": {"warmup_size": 96},  # the smallest input it takes is 75
    "se_resnet18": _TEACHER,
    "vgg": _TEACHER,
    "resnet50_cbam": _TEACHER,
    # a Python file of the user's own, which starts from random weights: nothing is worth freezing
    "own": {"warmup_epochs": 0, "top_epochs": 0, "full_epochs": 20},
}


def make_recipe(name: str, network: str, /, **overrides: object) -> Recipe:
    """The named recipe for a network.

    Args:
        name: A key of RECIPES.
        network: A key of `architectures.ARCHITECTURES`, or 'own' for a Python file of the user's: 'best' differs for
            some networks.
        **overrides: Values of fields that replace the recipe's.

    Raises:
        DataError: A field has a value that is not allowed, or the fields contradict each other.
    """
    own = _FOR_NETWORK.get(network, {}) if name == "best" else {}
    return checked(replace(RECIPES[name], **{**own, **overrides}))  # type: ignore[arg-type]


def checked(recipe: Recipe) -> Recipe:
    """The recipe itself; DataError where a field has a value that is not allowed, or fields contradict each other."""
    for each in fields(Recipe):
        check_value(each.name, getattr(recipe, each.name))
    if recipe.folds == 1:
        raise DataError("recipe field folds is 1, which holds out every face; expected 0 for none, or 2 or more")
    if recipe.folds and recipe.fold >= recipe.folds:
        raise DataError(
            f"recipe field fold is {recipe.fold}; expected 0 to {recipe.folds - 1}, with {recipe.folds} folds"
        )
    if recipe.consistency:
        _check_consistency(recipe)
    if recipe.frozen_views:
        _check_frozen_views(recipe)
    if not recipe.phases():
        raise DataError("the recipe has no epochs; expected at least one phase with epochs")
    return recipe


def _check_consistency(recipe: Recipe) -> None:
    """DataError where batches cannot be made of clean and corrupted views of the same faces."""
    if not 0 < recipe.corruption <= 0.5:
        raise DataError(
            f"recipe field corruption is {recipe.corruption}; expected above 0 and at most 0.5 with consistency, for "
            "which half of the views are clean"
        )
    if recipe.batch_size % 2:
        raise DataError(
            f"recipe field batch_size is {recipe.batch_size}; expected an even number with consistency, for two views "
            "of each face"
        )
    if recipe.mixup:
        raise DataError(
            f"recipe field mixup is {recipe.mixup}; expected 0 with consistency, whose two views show the same face"
        )


def _check_frozen_views(recipe: Recipe) -> None:
    """DataError where a field is at odds with features that are computed once."""
    for field in ("consistency", "mixup", "ema"):
        if getattr(recipe, field):
            raise DataError(f"recipe field {field} is {getattr(recipe, field)}; expected 0 with frozen_views")
    for field, expected in (("batch_norm", "moving"), ("teacher_views", "plain")):
        if getattr(recipe, field) != expected:
            raise DataError(f"recipe field {field} is {getattr(recipe, field)}; expected {expected} with frozen_views")


def check_value(field: str, value: Any) -> None:
    """Check one field's value, of the field's type.

    Args:
        field: The field of a recipe.
        value: Its value.

    Raises:
        DataError: It is not one of the field's choices, or outside its range.
    """
    info = _INFOS[field]
    if info.choices and value not in info.choices:
        raise DataError(f"recipe field {field} is {value!r}; expected {', '.join(info.choices)}")
    if info.minimum is not None:
        highest = math.inf if info.maximum is None else info.maximum
        if not (info.minimum <= value <= highest and math.isfinite(value)):
            limits = f"from {info.minimum}" + ("" if info.maximum is None else f" to {info.maximum}")
            raise DataError(f"recipe field {field} is {value}; expected a number {limits}")
