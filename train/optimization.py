"""Optimizer, learning rate schedule and ReduceLROnPlateau."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_edge.train import training_targets
from fer_edge.train.backend import keras
from fer_edge.train.checkpoint import TrainingState
from fer_edge.train.recipes import Phase, Recipe


def compile_model(model: Any, recipe: Recipe, phase: Phase, distillation: bool) -> Any:
    """Compile the model with the recipe's loss and optimizer, and return the optimizer."""
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
        training_targets.training_loss(recipe, distillation),
        metrics=[training_targets.accuracy],
        # XLA compiles for minutes on a CPU and gains nothing there
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def learning_rate(recipe: Recipe, phase: Phase, state: TrainingState, steps: int) -> float:
    """The learning rate of the next step. steps: steps per epoch."""
    if phase.name == "warmup" or recipe.schedule == "constant":
        return phase.rate * state.rate_scale
    total = steps * sum(each.epochs for each in recipe.phases() if each.name != "warmup")
    ramp = min(1.0, (state.step + 1) / 200)  # Adam's second moments are noise in the first steps
    cosine = 0.5 * (1 + float(np.cos(np.pi * min(1.0, state.step / total))))
    return phase.rate * state.rate_scale * ramp * cosine


def update_plateau(state: TrainingState, recipe: Recipe, loss: float) -> None:
    """Count epochs without a lower validation loss, and reduce the rate after some of them (ReduceLROnPlateau)."""
    if loss < state.best_loss - 1e-4:
        state.best_loss, state.epochs_without_gain = loss, 0
        return
    state.epochs_without_gain += 1
    if state.epochs_without_gain % recipe.plateau_patience == 0:
        state.rate_scale *= recipe.plateau_factor
