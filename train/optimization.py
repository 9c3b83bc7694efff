"""What steps, at which rate, and when it is lowered."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from fer_edge.train import training_targets as targets
from fer_edge.train.checkpoint import State
from fer_edge.train.recipes import Phase, Recipe
from fer_edge.train.training_targets import Lessons


def compiled(model: Any, recipe: Recipe, phase: Phase, lessons: Lessons) -> Any:
    """The recipe's optimizer, with which the model is compiled to learn the lessons."""
    average = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema else {}
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(phase.rate, **average)
    elif recipe.optimizer == "sgd":
        decay = recipe.weight_decay
        optimizer = keras.optimizers.SGD(phase.rate, momentum=0.9, nesterov=True, weight_decay=decay, **average)
    else:
        optimizer = keras.optimizers.AdamW(phase.rate, weight_decay=recipe.weight_decay, **average)
    if recipe.optimizer != "adam":
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer,
        targets.loss(recipe, lessons.taught),
        metrics=[targets.accuracy],
        # XLA compiles for minutes on a CPU and gains nothing there
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def rate(recipe: Recipe, phase: Phase, state: State, steps: int) -> float:
    """The learning rate of the step that comes next, of so many an epoch."""
    if phase.name == "warmup" or recipe.schedule == "constant":
        return phase.rate * state.scale
    total = steps * sum(p.epochs for p in recipe.phases() if p.name != "warmup")
    ramp = min(1.0, (state.step + 1) / 200)  # Adam's second moments are noise in the first steps
    return phase.rate * state.scale * ramp * 0.5 * (1 + float(np.cos(np.pi * min(1.0, state.step / total))))


def watch(state: State, recipe: Recipe, loss: float) -> None:
    """Count epochs without a lower validation loss, and lower the rate after some of them (ReduceLROnPlateau)."""
    if loss < state.best_loss - 1e-4:
        state.best_loss, state.since_best = loss, 0
        return
    state.since_best += 1
    if state.since_best % recipe.plateau_patience == 0:
        state.scale *= recipe.plateau_factor
