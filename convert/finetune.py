"""Quantization-aware fine-tuning: the fake-quantized network learns the labels and its float teacher's logits."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.convert.options import ConversionOptions, TuningOptions
from fer_edge.edge.errors import TrainingError
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import progress_bar
from fer_edge.train.augment import augment
from fer_edge.train.data.clean_rows import clean_split
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.recipes import Recipe

AUGMENTATION = Recipe(name="gentle", rotation=6.0, zoom=0.06, shift=0.04, contrast=0.15, brightness=12.0, erase=0.0)
"""Close to what the device sees: the ranges were measured on faces without it, and do not move."""

RAMP_STEPS = 50
"""Steps over which the learning rate rises: at first Adam's second moments are noise."""

_logger = logging.getLogger(__name__)


def finetune(
    student: Any,
    teacher: Any,
    dataset: Dataset,
    tuning: TuningOptions,
    checkpoint: Checkpoint,
    conversion: ConversionOptions,
) -> list[dict[str, float]]:
    """Train a fake-quantized network in place.

    It ends with the weights of its best epoch on the val split's clean rows; epoch 0 is no fine-tuning at all. Those
    weights are written to the checkpoint after every epoch that is at least as good as all before it.

    Args:
        student: The fake-quantized network.
        teacher: The float network whose logits it learns from.
        dataset: Faces and labels of the splits train and val.
        tuning: How long and how to train.
        checkpoint: Where to keep the best weights.
        conversion: Random seed of shuffling and augmentation, and the share of faces that are corrupted.

    Returns:
        A row per epoch: `epoch`, `val_accuracy`, and from epoch 1 on `loss` and `seconds`.

    Raises:
        TrainingError: The loss, or a logit on the val split, is no number.
    """
    train = dataset.split("train")
    accuracy = _accuracy_function(student, clean_split(dataset, "val"))
    optimizer = tf_keras.optimizers.Adam(tuning.learning_rate)
    train_step = _train_step(student, teacher, optimizer, tuning)
    seed, augmentation = conversion.seed, replace(AUGMENTATION, corruption=conversion.corruption)
    steps = max(1, len(train) // tuning.batch_size)
    steps = min(steps, tuning.steps_per_epoch or steps)
    rows = [{"epoch": 0.0, "val_accuracy": accuracy()}]
    _logger.info(f"before fine-tuning: val_accuracy {rows[0]['val_accuracy']:.4f}")
    best = student.get_weights()
    for epoch in range(tuning.epochs):
        start = time.monotonic()
        rates = [_learning_rate(tuning, epoch * steps + step, steps * tuning.epochs) for step in range(steps)]
        batches = _batches(train, student.input_shape[2:], tuning.batch_size, augmentation, [seed, epoch], steps)
        loss = _train_epoch(f"fine-tuning epoch {epoch + 1}", batches, rates, optimizer, train_step)
        row = {
            "epoch": float(epoch + 1),
            "loss": round(loss, 5),
            "val_accuracy": accuracy(),
            "seconds": round(time.monotonic() - start, 1),
        }
        if row["val_accuracy"] >= max(earlier["val_accuracy"] for earlier in rows):
            best = _finite_weights(student)
            checkpoint.save(best)
        rows.append(row)
        _logger.info(
            f"fine-tuning epoch {epoch + 1}/{tuning.epochs}: loss {row['loss']:.4f} "
            f"val_accuracy {row['val_accuracy']:.4f} ({row['seconds']:.0f} s)"
        )
    student.set_weights(best)
    return rows


def _finite_weights(student: Any) -> list[NDArray[Any]]:
    """A network's weights. Fake quantization clips what explodes, so that the loss may stay a number without them."""
    weights: list[NDArray[Any]] = student.get_weights()
    if not all(np.isfinite(each).all() for each in weights):
        raise TrainingError("fine-tuning: weights are no numbers any more; nothing was written. Lower --learning-rate")
    return weights


def _train_epoch(
    label: str,
    batches: Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]],
    rates: list[float],
    optimizer: Any,
    train_step: Callable[[Any, Any], Any],
) -> float:
    """Train on batches at one learning rate each; returns the mean loss, and raises TrainingError where it is none."""
    losses: list[float] = []
    with progress_bar(label, len(rates)) as bar:
        for (views, labels), rate in zip(batches, rates, strict=True):
            optimizer.learning_rate.assign(rate)
            losses.append(float(train_step(views, labels)))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"{label}, step {len(losses)} of {len(rates)}: the loss is {losses[-1]}; nothing was written. "
                    "Try a lower --learning-rate"
                )
            bar.set_postfix_str(f"loss {np.mean(losses[-50:]):.3f}", refresh=False)
            bar.update()
    return float(np.mean(losses))


def _train_step(student: Any, teacher: Any, optimizer: Any, tuning: TuningOptions) -> Callable[[Any, Any], Any]:
    """A function that trains the student on a batch of views and labels and returns the loss."""
    share = tf.constant(tuning.distill, tf.float32)

    @tf.function(autograph=False)
    def step(views: Any, labels: Any) -> Any:
        teacher_logits = teacher(views, training=False) if tuning.distill else None  # (N, C)
        with tf.GradientTape() as tape:
            logits = student(views, training=True)  # (N, C)
            targets = tf.one_hot(labels, logits.shape[1]) * (1 - tuning.label_smoothing)
            targets += tuning.label_smoothing / logits.shape[1]
            loss = (1 - share) * tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            if teacher_logits is not None:
                gap = tf.nn.log_softmax(teacher_logits) - tf.nn.log_softmax(logits)
                divergence = tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(teacher_logits) * gap, axis=1))
                loss += share * divergence
        variables = student.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def call(views: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
        return step(tf.constant(views), tf.constant(labels))

    optimizer.build(student.trainable_variables)
    return call


def _accuracy_function(model: Any, split: Split, batch: int = 64) -> Callable[[], float]:
    """A function that returns the model's accuracy on a split, 0..1."""
    size, channels = model.input_shape[2:]
    forward = tf.function(
        lambda views: model(views, training=False),
        input_signature=[tf.TensorSpec((None, size, size, channels), tf.float32)],
        autograph=False,
    )

    def accuracy() -> float:
        hits = 0
        for i in range(0, len(split), batch):
            logits = forward(tf.constant(network_input(split.faces[i : i + batch], size, channels))).numpy()
            if not np.isfinite(logits).all():
                raise TrainingError("the fake-quantized network gives no numbers; try a lower --learning-rate")
            hits += int(np.sum(logits.argmax(axis=1) == split.labels[i : i + batch]))
        return round(hits / len(split), 5)

    return accuracy


def _batches(
    train: Split, shape: tuple[int, int], batch_size: int, augmentation: Recipe, seed: list[int], steps: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Shuffled, augmented batches, prefetched by one in a thread; the same for the same seed."""
    size, channels = shape
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    chunks = [order[i * batch_size : (i + 1) * batch_size] for i in range(steps)]
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(augment, train.faces[chunks[0]], size, augmentation, rng)
        for chunk, next_chunk in zip(chunks, [*chunks[1:], None], strict=True):
            views = future.result()
            if next_chunk is not None:
                future = executor.submit(augment, train.faces[next_chunk], size, augmentation, rng)
            yield views[..., :channels], train.labels[chunk]


def _learning_rate(tuning: TuningOptions, step: int, total: int) -> float:
    """A short ramp, then half a cosine to 0."""
    ramp = min(1.0, (step + 1) / RAMP_STEPS)
    return tuning.learning_rate * ramp * 0.5 * (1 + float(np.cos(np.pi * step / total)))
