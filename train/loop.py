"""The training loop: phases of epochs, a checkpoint after each, and a run folder at the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.preprocess import INPUT_SIZE, network_input
from fer_edge.train import architectures
from fer_edge.train.augment import augment
from fer_edge.train.data import Dataset, Split
from fer_edge.train.fused import training_keras
from fer_edge.train.recipes import Phase, Recipe
from fer_edge.train.weights import start

Progress = Callable[[str, int, int], None]
"""Called with (label, steps done, steps in all) after every step."""


@dataclass
class State:
    """Where a run stands: what a checkpoint holds besides arrays."""

    epoch: int = 0  # epochs finished, over all phases
    step: int = 0  # optimizer steps of phase 2, which the schedule counts
    scale: float = 1.0  # what ReduceLROnPlateau made of the rate
    since_best: int = 0  # epochs since the validation loss last fell
    best_loss: float = float("inf")
    best_accuracy: float = -1.0
    history: list[dict[str, float | str]] = field(default_factory=list)


def fit(
    name: str,
    data: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    weights: str = "imagenet",
    resume: bool = False,
    echo: Callable[[str], None] = print,
    progress: Progress = lambda label, done, total: None,
) -> tuple[Any, State]:
    """Train the named network; returns it with its best weights at full size, and where the run ended.

    Leaves `checkpoint.npz` in out after every epoch; resume goes on from there with the same history, whatever
    killed the run. Raises DataError where the data has no train or val split or the checkpoint is another run's.
    """
    train, val = data.split("train"), data.split("val")
    keras.utils.set_random_seed(recipe.seed)
    model = architectures.build(name, training_keras())
    checkpoint = out / "checkpoint.npz"
    state, best = State(), None
    if resume and checkpoint.exists():
        state, arrays, best = _read_checkpoint(checkpoint, name, recipe)
        model.set_weights(arrays["weights"])
    else:
        arrays = {}
        start(name, model, weights, keras)

    finished = 0
    for phase in recipe.phases():
        first, last = finished, finished + phase.epochs
        finished = last
        if state.epoch >= last:
            continue
        model = _resized(model, name, phase.size)
        _set_trainable(name, model, phase)
        optimizer = _compile(model, recipe, phase)
        if state.epoch > first and arrays:
            for variable, value in zip(optimizer.variables, arrays["optimizer"], strict=True):
                variable.assign(value)
        while state.epoch < last:
            epoch = state.epoch
            began = time.monotonic()
            losses = _one_epoch(model, optimizer, train, phase, recipe, state, epoch, progress)
            row = _validate(model, val, phase.size)
            state.epoch = epoch + 1
            state.history.append(
                {
                    "epoch": epoch + 1,
                    "phase": phase.name,
                    "rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
                    **losses,
                    **row,
                    "seconds": round(time.monotonic() - began, 1),
                }
            )
            if phase.size == INPUT_SIZE and row["val_accuracy"] > state.best_accuracy:
                state.best_accuracy = row["val_accuracy"]
                best = model.get_weights()
            _watch(state, recipe, row["val_loss"])
            echo(_line(state.history[-1], recipe))
            if state.since_best >= recipe.stop_patience:
                echo(f"early stopping of phase {phase.name}: no lower validation loss in {state.since_best} epochs")
                state.epoch = last
            _write_checkpoint(checkpoint, name, recipe, state, model, optimizer, best)
    finished_model = architectures.build(name, keras)
    finished_model.set_weights(model.get_weights() if best is None else best)
    return finished_model, state


def predict_logits(model: Any, faces: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 faces to (N, 7) float32 logits, at the model's own input size."""
    size = int(model.input_shape[1])
    parts = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(network_input(faces[i : i + batch], size))))
        for i in range(0, len(faces), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


# --- one epoch -------------------------------------------------------------------------------------------------


def _one_epoch(
    model: Any,
    optimizer: Any,
    train: Split,
    phase: Phase,
    recipe: Recipe,
    state: State,
    epoch: int,
    progress: Progress,
) -> dict[str, float]:
    _seed_dropout(model, recipe.seed, epoch)
    weight = class_weights(train, recipe.class_weights)
    steps = max(1, len(train) // recipe.batch_size)
    loss = correct = 0.0
    for done, (views, labels) in enumerate(_batches(train, phase.size, recipe, epoch), start=1):
        optimizer.learning_rate = _rate(recipe, phase, state, steps)
        result = model.train_on_batch(
            views, keras.ops.one_hot(labels, 7), sample_weight=weight[labels], return_dict=True
        )
        if phase.name != "warmup":
            state.step += 1
        loss += (float(result["loss"]) - loss) / done
        correct += (float(result["accuracy"]) - correct) / done
        progress(f"epoch {epoch + 1} ({phase.name}) loss {loss:.3f}", done, steps)
    return {"loss": round(loss, 5), "accuracy": round(correct, 5)}


def _batches(
    train: Split, size: int, recipe: Recipe, epoch: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Shuffled, augmented batches, made one ahead in a thread; the same for the same seed and epoch."""
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(train))
    steps = max(1, len(train) // recipe.batch_size)
    chunks = [order[i * recipe.batch_size : (i + 1) * recipe.batch_size] for i in range(steps)]

    def make(chunk: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return augment(train.faces[chunk], size, recipe, rng), train.labels[chunk]

    with ThreadPoolExecutor(1) as ahead:
        waiting = ahead.submit(make, chunks[0])
        for following in [*chunks[1:], None]:
            batch = waiting.result()
            if following is not None:
                waiting = ahead.submit(make, following)
            yield batch


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Start every dropout layer's random numbers anew from the epoch, so that a resumed run draws the same."""
    layers = [layer for layer in model.layers if hasattr(layer, "seed_generator")]
    for index, layer in enumerate(layers):
        layer.seed_generator.state.assign(np.array([1000 * seed + index, epoch << 20], np.uint32))


def _validate(model: Any, val: Split, size: int) -> dict[str, float]:
    logits = predict_logits(model, val.faces)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    loss = float(np.mean(log_sums - shifted[np.arange(len(val)), val.labels]))
    return {"val_loss": round(loss, 5), "val_accuracy": round(float(np.mean(logits.argmax(1) == val.labels)), 5)}


def class_weights(train: Split, kind: str) -> NDArray[np.float32]:
    """(7,) loss weight per class, with mean 1 over the pictures."""
    frequency = np.maximum(train.counts(), 1) / max(1, len(train))
    power = {"none": 0.0, "sqrt": -0.5, "balanced": -1.0}[kind]
    weight = frequency**power
    return np.asarray(weight / np.sum(weight * frequency), np.float32)


# --- rates, phases, stopping -----------------------------------------------------------------------------------


def _rate(recipe: Recipe, phase: Phase, state: State, steps: int) -> float:
    if phase.name == "warmup" or recipe.schedule == "constant":
        return phase.rate * state.scale
    total = steps * sum(p.epochs for p in recipe.phases() if p.name != "warmup")
    ramp = min(1.0, (state.step + 1) / 200)  # Adam's second moments are noise in the first steps
    return phase.rate * state.scale * ramp * 0.5 * (1 + float(np.cos(np.pi * min(1.0, state.step / total))))


def _watch(state: State, recipe: Recipe, loss: float) -> None:
    """ReduceLROnPlateau and EarlyStopping on the validation loss; a new phase starts the count anew."""
    phases = [row["phase"] for row in state.history]
    if len(phases) > 1 and phases[-2] != phases[-1]:
        state.best_loss, state.since_best, state.scale = float("inf"), 0, 1.0
    if loss < state.best_loss - 1e-4:
        state.best_loss, state.since_best = loss, 0
        return
    state.since_best += 1
    if state.since_best % recipe.plateau_patience == 0:
        state.scale *= recipe.plateau_factor


def _set_trainable(name: str, model: Any, phase: Phase) -> None:
    chosen = {
        "warmup": lambda: architectures.head_layers(model),
        "small": lambda: architectures.top_layers(name, model),
        "top": lambda: architectures.top_layers(name, model),
        "full": lambda: model.layers,
    }[phase.name]()
    names = {layer.name for layer in chosen}
    for layer in model.layers:
        layer.trainable = layer.name in names


def _resized(model: Any, name: str, size: int) -> Any:
    """The same weights in the same network for another input size."""
    if int(model.input_shape[1]) == size:
        return model
    other = architectures.build(name, training_keras(), size)
    other.set_weights(model.get_weights())
    return other


def _compile(model: Any, recipe: Recipe, phase: Phase) -> Any:
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(phase.rate, weight_decay=recipe.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer = keras.optimizers.Adam(phase.rate)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        # XLA compiles for minutes on a CPU and gains nothing there
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    optimizer.build(model.trainable_variables)
    return optimizer


# --- checkpoints -----------------------------------------------------------------------------------------------


def _write_checkpoint(
    path: Path, name: str, recipe: Recipe, state: State, model: Any, optimizer: Any, best: list[Any] | None
) -> None:
    """One file, written beside and renamed: a run killed at any moment leaves the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = {
        "weights": model.get_weights(),
        "best": best or [],
        "optimizer": [keras.ops.convert_to_numpy(v) for v in optimizer.variables],
    }
    arrays: dict[str, Any] = {
        f"{group}/{i:05d}": np.asarray(value) for group, values in groups.items() for i, value in enumerate(values)
    }
    about = json.dumps({"name": name, "recipe": asdict(recipe), "state": asdict(state)})
    temporary = path.with_name(f".{path.name}.part.npz")
    try:
        np.savez(temporary, about=np.frombuffer(about.encode(), np.uint8), **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error.strerror}; the last checkpoint is kept") from None


def _read_checkpoint(path: Path, name: str, recipe: Recipe) -> tuple[State, dict[str, list[Any]], list[Any] | None]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            keys = sorted(stored.files)
            groups = {
                group: [stored[key] for key in keys if key.startswith(f"{group}/")]
                for group in ("weights", "best", "optimizer")
            }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint: {error}; start again without --resume") from None
    changed = [key for key, value in asdict(recipe).items() if about["recipe"].get(key) != value]
    if about["name"] != name or changed:
        what = f"of {about['name']}" if about["name"] != name else f"with another {', '.join(changed)}"
        raise DataError(f"{path} is a run {what}; resume with the same recipe, or start again without --resume")
    return State(**about["state"]), groups, groups["best"] or None


def _line(row: dict[str, float | str], recipe: Recipe) -> str:
    epochs = sum(phase.epochs for phase in recipe.phases())
    return (
        f"epoch {row['epoch']}/{epochs} {row['phase']}: loss {row['loss']:.4f} accuracy {row['accuracy']:.4f} "
        f"val_loss {row['val_loss']:.4f} val_accuracy {row['val_accuracy']:.4f} ({row['seconds']:.0f} s)"
    )
