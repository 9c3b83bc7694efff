"""Every hyperparameter of a run in one small dataclass; the command line overrides any field."""

from __future__ import annotations

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
    # phase 1: the head alone, the backbone frozen
    warmup_epochs: int = 1
    warmup_rate: float = 1e-3
    warmup_size: int = 64
    # phase 2: the top blocks, first on smaller pictures (2.5 times cheaper), then at full size; then every layer
    small_epochs: int = 0
    small_rate: float = 8e-4
    small_size: int = 64
    top_epochs: int = 6
    top_rate: float = 8e-4
    full_epochs: int = 2
    full_rate: float = 8e-4
    schedule: str = "cosine"  # one half-cosine over phase 2, or 'constant'
    optimizer: str = "adamw"  # or 'adam'
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
    erase: float = 0.0  # probability of a gray rectangle

    def phases(self) -> tuple[Phase, ...]:
        """The phases in order, without those of no epochs."""
        every = (
            Phase("warmup", self.warmup_epochs, self.warmup_rate, self.warmup_size),
            Phase("small", self.small_epochs, self.small_rate, self.small_size),
            Phase("top", self.top_epochs, self.top_rate, INPUT_SIZE),
            Phase("full", self.full_epochs, self.full_rate, INPUT_SIZE),
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
    # a second run from the weights of a first (--weights models/float/NAME.npz): every layer, one more cosine
    "continue": Recipe(name="continue", seed=2, warmup_epochs=0, top_epochs=0, full_epochs=6, full_rate=6e-4),
}

# what "best" is for a network where it differs: chosen on the validation split
_FOR_NETWORK: dict[str, dict[str, object]] = {
    "se_mobilenet_v2": {"top_epochs": 5, "full_epochs": 1},
    # its low layers have to move too where they come from another network (EfficientNet-Lite0)
    "efficientnet_b0": {"top_epochs": 0, "full_epochs": 4},
}

_CHOICES = {
    "schedule": ("cosine", "constant"),
    "optimizer": ("adamw", "adam"),
    "class_weights": ("none", "sqrt", "balanced"),
}


def recipe(name: str, network: str, **overrides: object) -> Recipe:
    """The named recipe for a network, with fields replaced; DataError where a field has no such choice."""
    own = _FOR_NETWORK.get(network, {}) if name == "best" else {}
    changed = replace(RECIPES[name], **{**own, **overrides})  # type: ignore[arg-type]
    for field, choices in _CHOICES.items():
        if getattr(changed, field) not in choices:
            raise DataError(f"recipe field {field} is {getattr(changed, field)!r}; expected {', '.join(choices)}")
    if not changed.phases():
        raise DataError("the recipe has no epochs; expected at least one phase with epochs")
    return changed
