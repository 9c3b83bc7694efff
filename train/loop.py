"""The training loop: phases of epochs, with a checkpoint after each."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import progress_bar
from fer_edge.train import architectures
from fer_edge.train import training_targets as targets
from fer_edge.train.augment import augment
from fer_edge.train.averaging import averaged, plain
from fer_edge.train.checkpoint import CHECKPOINT, State, beginning, read_checkpoint, write_checkpoint
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.fused_batch_norm import training_keras
from fer_edge.train.optimization import compiled, rate, watch
from fer_edge.train.recipes import Phase, Recipe
from fer_edge.train.training_targets import Batch, Judge, Lessons, judged, mixed
from fer_edge.train.weights import start

_logger = logging.getLogger(__name__)


def fit(
    name: str,
    data: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    weights: str = "imagenet",
    votes: NDArray[np.float32] | None = None,
    teacher: NDArray[np.float32] | Judge | None = None,
    resume: bool = False,
) -> tuple[Any, State]:
    """Train the named network; returns it with its best weights at full size, and where the run ended.

    votes (N, 7), shares of FER+'s votes, and teacher (N, 7), logits, are of the train split's faces in their order; a
    judge is asked about every batch's views instead.
    Leaves `checkpoint.npz` in out after every epoch; resume goes on from there with the same history, whatever
    killed the run. Raises DataError where the data has no train or val split or the checkpoint is another run's.
    """
    lessons, val = targets.lessons(data.split("train"), recipe, votes, teacher), data.split("val")
    begun = beginning(name, recipe, weights, data, votes)
    with computing_in(recipe.precision):
        best, state = _phases(begun, lessons, val, recipe, out / CHECKPOINT, resume)
    finished = architectures.build(name, keras)
    finished.set_weights(best)
    return finished, state


def _phases(
    begun: dict[str, Any],
    lessons: Lessons,
    val: Split,
    recipe: Recipe,
    checkpoint: Path,
    resume: bool,
) -> tuple[list[NDArray[np.float32]], State]:
    """The recipe's phases from the beginning or the checkpoint; the best weights at full size, and the state.

    Without an epoch at full size the last ones, as they were validated.
    """
    name = begun["name"]
    full_size = architectures.size(name)
    keras.utils.set_random_seed(recipe.seed)
    model = architectures.build(name, training_keras())
    state, best = State(), None
    if resume and checkpoint.exists():
        state, arrays, best = read_checkpoint(checkpoint, begun)
        model.set_weights(arrays["weights"])
    else:
        if resume:
            _logger.info(f"no checkpoint in {checkpoint.parent}: beginning anew")
        arrays = {}
        start(name, model, begun["weights"], keras, lessons.faces)

    finished = 0
    for phase in recipe.phases(full_size):
        first, last = finished, finished + phase.epochs
        finished = last
        if state.epoch >= last:
            continue
        if state.epoch == first:
            state.best_loss, state.since_best, state.scale = float("inf"), 0, 1.0
        model = _resized(model, name, phase.size)
        _set_trainable(name, model, phase)
        optimizer = compiled(model, recipe, phase, lessons)
        if state.epoch > first and arrays:
            for variable, value in zip(optimizer.variables, arrays["optimizer"], strict=True):
                variable.assign(value)
        while state.epoch < last:
            epoch = state.epoch
            began = time.monotonic()
            losses = _one_epoch(model, optimizer, lessons, phase, recipe, state, epoch)
            with averaged(model, optimizer, plain(lessons, phase.size, recipe)):
                row = _validate(model, val)
                full = phase.size == full_size
                merit = row["val_accuracy"] if recipe.keep == "accuracy" else -row["val_loss"]
                better = full and merit > state.kept
                best = model.get_weights() if better or not full else best
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
            if better:
                state.kept = merit
            watch(state, recipe, row["val_loss"])
            _logger.info(_line(state.history[-1], recipe))
            if state.since_best >= recipe.stop_patience:
                _logger.info(
                    f"early stopping of phase {phase.name}: no lower validation loss in {state.since_best} epochs"
                )
                state.epoch = last
            write_checkpoint(checkpoint, begun, state, model, optimizer, best)
    return model.get_weights() if best is None else best, state


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Layers are built to compute so; weights stay float32."""
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(kept)


def predict_logits(model: Any, faces: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 faces to (N, 7) float32 logits, at the model's own input size and channels."""
    shape = model.input_shape[2:]
    parts = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(network_input(faces[i : i + batch], *shape))))
        for i in range(0, len(faces), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


# --- one epoch -------------------------------------------------------------------------------------------------


def _one_epoch(
    model: Any,
    optimizer: Any,
    lessons: Lessons,
    phase: Phase,
    recipe: Recipe,
    state: State,
    epoch: int,
) -> dict[str, float]:
    _seed_dropout(model, recipe.seed, epoch)
    steps = _steps(lessons, recipe)
    loss = correct = 0.0
    with progress_bar(f"epoch {epoch + 1} ({phase.name})", steps) as bar:
        for done, batch in enumerate(_batches(lessons, phase.size, recipe, epoch), start=1):
            if lessons.judge:
                batch = judged(batch, lessons.judge(batch.views), recipe.teacher_temperature)
            optimizer.learning_rate = rate(recipe, phase, state, steps)
            result = model.train_on_batch(batch.views, batch.rows, sample_weight=batch.weights, return_dict=True)
            if phase.name != "warmup":
                state.step += 1
            loss += (float(result["loss"]) - loss) / done
            correct += (float(result["accuracy"]) - correct) / done
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            bar.update()
    return {"loss": round(loss, 5), "accuracy": round(correct, 5)}


def _steps(lessons: Lessons, recipe: Recipe) -> int:
    return max(1, len(lessons) // recipe.batch_size)


def _batches(lessons: Lessons, size: int, recipe: Recipe, epoch: int) -> Iterator[Batch]:
    """Shuffled, augmented batches, made ahead in threads; the same for the same seed and epoch."""
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(lessons))
    steps = _steps(lessons, recipe)

    def make(step: int) -> Batch:
        rng = np.random.default_rng([recipe.seed, epoch, step])
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        batch = Batch(augment(lessons.faces[chosen], size, recipe, rng), lessons.rows[chosen], lessons.weights[chosen])
        return mixed(batch, recipe.mixup, rng) if recipe.mixup else batch

    workers = max(1, min(8, (os.cpu_count() or 2) // 2))
    with ThreadPoolExecutor(workers) as ahead:
        waiting = deque(ahead.submit(make, step) for step in range(min(workers, steps)))
        for step in range(workers, steps + workers):
            batch = waiting.popleft().result()
            if step < steps:
                waiting.append(ahead.submit(make, step))
            yield batch


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Start every dropout layer's random numbers anew from the epoch, so that a resumed run draws the same."""
    layers = [layer for layer in model.layers if hasattr(layer, "seed_generator")]
    for index, layer in enumerate(layers):
        layer.seed_generator.state.assign(np.array([1000 * seed + index, epoch << 20], np.uint32))


def _validate(model: Any, val: Split) -> dict[str, float]:
    logits = predict_logits(model, val.faces)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    loss = float(np.mean(log_sums - shifted[np.arange(len(val)), val.labels]))
    return {"val_loss": round(loss, 5), "val_accuracy": round(float(np.mean(logits.argmax(1) == val.labels)), 5)}


# --- phases ----------------------------------------------------------------------------------------------------


def _set_trainable(name: str, model: Any, phase: Phase) -> None:
    chosen = {
        "warmup": lambda: architectures.head_layers(model),
        "small": lambda: model.layers,
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


def _line(row: dict[str, float | str], recipe: Recipe) -> str:
    epochs = sum(phase.epochs for phase in recipe.phases())
    return (
        f"epoch {row['epoch']}/{epochs} {row['phase']}: loss {row['loss']:.4f} accuracy {row['accuracy']:.4f} "
        f"val_loss {row['val_loss']:.4f} val_accuracy {row['val_accuracy']:.4f} ({row['seconds']:.0f} s)"
    )
