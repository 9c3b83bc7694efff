"""Fine-tuning with fake quantization: the int8 network learns the labels and its float teacher's logits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files import atomic_path
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.augment import augment
from fer_edge.train.data.splits import Split
from fer_edge.train.recipes import Recipe


@dataclass(frozen=True)
class Tuning:
    """How long and how the fake-quantized network trains."""

    epochs: int = 1
    rate: float = 1e-4  # Adam's peak rate; a short ramp, then half a cosine to 0
    batch_size: int = 64
    seed: int = 1
    distill: float = 0.7  # share of the loss that is the divergence from the float model, 0..1
    label_smoothing: float = 0.1  # of the rest
    steps: int | None = None  # at most so many steps an epoch; None is the whole training split


GENTLE = Recipe(name="gentle", rotation=6.0, zoom=0.06, shift=0.04, contrast=0.15, brightness=12.0, erase=0.0)
"""Near to what the device sees: ranges were measured on faces as they are, and are held."""


def finetune(
    student: Any,
    teacher: Any,
    train: Split,
    val: Split,
    tuning: Tuning,
    checkpoint: Path,
    origin: str,
    *,
    echo: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train the student in place; it ends with the weights of its best epoch on val, epoch 0 being none at all.

    Once an epoch is as good as none, the best weights so far are in checkpoint (.npz, in get_weights order) with their
    origin, the float file's sha256. Returns a row per epoch.
    """
    optimizer = tf_keras.optimizers.Adam(tuning.rate)
    step_of = _train_step(student, teacher, optimizer, tuning)
    score = _scorer(student, val)
    steps = max(1, len(train) // tuning.batch_size)
    steps = min(steps, tuning.steps) if tuning.steps else steps
    total, done = steps * tuning.epochs, 0
    rows = [{"epoch": 0.0, "val_accuracy": score()}]
    echo(f"before fine-tuning: val_accuracy {rows[0]['val_accuracy']:.4f}")
    best = student.get_weights()
    for epoch in range(tuning.epochs):
        began, losses = time.monotonic(), []
        batches = _batches(train, student.input_shape[2:], tuning, epoch, steps)
        with progress_bar(f"fine-tuning epoch {epoch + 1}", steps) as bar:
            for views, labels in batches:
                optimizer.learning_rate.assign(_rate(tuning, done, total))
                losses.append(float(step_of(views, labels)))
                done += 1
                bar.set_postfix_str(f"loss {np.mean(losses[-50:]):.3f}", refresh=False)
                bar.update()
        row = {
            "epoch": float(epoch + 1),
            "loss": round(float(np.mean(losses)), 5),
            "val_accuracy": score(),
            "seconds": round(time.monotonic() - began, 1),
        }
        if row["val_accuracy"] >= max(earlier["val_accuracy"] for earlier in rows):
            best = student.get_weights()
            _keep(checkpoint, best, origin, echo)
        rows.append(row)
        echo(
            f"fine-tuning epoch {epoch + 1}/{tuning.epochs}: loss {row['loss']:.4f} "
            f"val_accuracy {row['val_accuracy']:.4f} ({row['seconds']:.0f} s)"
        )
    student.set_weights(best)
    return rows


def _train_step(student: Any, teacher: Any, optimizer: Any, tuning: Tuning) -> Callable[[Any, Any], Any]:
    share = tf.constant(tuning.distill, tf.float32)

    @tf.function(autograph=False)
    def step(views: Any, labels: Any) -> Any:
        taught = teacher(views, training=False) if tuning.distill else None  # (N, 7)
        with tf.GradientTape() as tape:
            logits = student(views, training=True)  # (N, 7)
            targets = tf.one_hot(labels, len(EMOTIONS)) * (1 - tuning.label_smoothing)
            targets += tuning.label_smoothing / len(EMOTIONS)
            loss = (1 - share) * tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            if taught is not None:
                gap = tf.nn.log_softmax(taught) - tf.nn.log_softmax(logits)
                loss += share * tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(taught) * gap, axis=1))
        variables = student.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def call(views: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
        return step(tf.constant(views), tf.constant(labels))

    optimizer.build(student.trainable_variables)
    return call


def _scorer(model: Any, split: Split, batch: int = 64) -> Callable[[], float]:
    """A function giving the model's accuracy on a split, 0..1."""
    size, channels = model.input_shape[2:]
    forward = tf.function(
        lambda views: model(views, training=False),
        input_signature=[tf.TensorSpec((None, size, size, channels), tf.float32)],
        autograph=False,
    )

    def score() -> float:
        hits = 0
        for i in range(0, len(split), batch):
            logits = forward(tf.constant(network_input(split.faces[i : i + batch], size, channels))).numpy()
            hits += int(np.sum(logits.argmax(axis=1) == split.labels[i : i + batch]))
        return round(hits / len(split), 5)

    return score


def _batches(
    train: Split, shape: tuple[int, int], tuning: Tuning, epoch: int, steps: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Shuffled batches with gentle augmentation, made one ahead in a thread; the same for the same seed."""
    size, channels = shape
    rng = np.random.default_rng([tuning.seed, epoch])
    order = rng.permutation(len(train))
    chunks = [order[i * tuning.batch_size : (i + 1) * tuning.batch_size] for i in range(steps)]
    with ThreadPoolExecutor(1) as ahead:
        waiting = ahead.submit(augment, train.faces[chunks[0]], size, GENTLE, rng)
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
            views = waiting.result()
            if following is not None:
                waiting = ahead.submit(augment, train.faces[following], size, GENTLE, rng)
            yield views[..., :channels], train.labels[chunk]


def _rate(tuning: Tuning, step: int, total: int) -> float:
    ramp = min(1.0, (step + 1) / 50)  # Adam's second moments are noise at first
    return tuning.rate * ramp * 0.5 * (1 + float(np.cos(np.pi * step / total)))


def _keep(path: Path, weights: list[Any], origin: str, echo: Callable[[str], None]) -> None:
    arrays: dict[str, Any] = {f"{i:04d}": value for i, value in enumerate(weights)} | {"origin": np.array(origin)}
    try:
        with atomic_path(path) as beside:
            np.savez(beside, **arrays)
    except SinkError as error:  # a full or read-only disk costs the checkpoint, not the conversion
        echo(f"{error}; fine-tuning goes on without a checkpoint")
