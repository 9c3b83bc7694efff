"""Consistency: both views of every face in a batch, and a divergence that teaches on the corrupted one alone."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from random_faces import random_faces

from fer_edge.edge.expression.scores import softmax
from fer_edge.train.augment import augment
from fer_edge.train.batches import augmented_batches, steps_per_epoch
from fer_edge.train.consistency import paired_views, view_divergence
from fer_edge.train.optimization import compile_model
from fer_edge.train.recipes import Phase, Recipe
from fer_edge.train.training_targets import TrainingSet, distillation_loss, target_rows, training_loss

pytestmark = pytest.mark.tensorflow

PAIRED = replace(Recipe(), consistency=2.0, corruption=0.5, batch_size=8)


def test_the_first_half_of_the_views_is_clean_and_the_second_corrupted() -> None:
    faces = random_faces(20)
    still = replace(PAIRED, flip=0.0, rotation=0.0, zoom=0.0, shift=0.0, contrast=0.0, brightness=0.0)
    views = paired_views(faces, 48, still, np.random.default_rng(1))
    clean = augment(faces, 48, replace(still, corruption=0.0), np.random.default_rng(1))
    assert views.shape == (40, 48, 48, 3)
    assert np.array_equal(views[:20], clean) and (views[20:] != clean).any(axis=(1, 2, 3)).all()


def test_an_epoch_has_every_face_in_both_views() -> None:
    labels = np.arange(20) % 7
    weights = np.arange(20, dtype=np.float32)  # a face is known by its weight
    training_set = TrainingSet(random_faces(20), target_rows(labels, 7, PAIRED), weights, False)
    batches = list(augmented_batches(training_set, 48, PAIRED, 0))
    assert len(batches) == steps_per_epoch(training_set, PAIRED) == 5
    assert all(np.array_equal(batch.weights[:4], batch.weights[4:]) for batch in batches)
    assert all(np.array_equal(batch.targets[:4], batch.targets[4:]) for batch in batches)
    assert sorted(weight for batch in batches for weight in batch.weights[:4]) == weights.tolist()


def test_the_divergence_is_that_of_the_corrupted_from_the_clean_view() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (6, 7)).astype(np.float32)
    clean, corrupted = softmax(logits[:3]), softmax(logits[3:])
    expected = np.sum(clean * np.log(clean / corrupted), axis=1)
    assert np.allclose(view_divergence(logits), [0, 0, 0, *expected], rtol=1e-4)
    rows = target_rows(np.arange(6), 7, PAIRED)
    difference = training_loss(PAIRED, False)(rows, logits) - distillation_loss(PAIRED, False)(rows, logits)
    assert np.allclose(difference, [0, 0, 0, *(2 * expected)], rtol=1e-3)


def test_the_clean_view_learns_nothing_from_the_divergence() -> None:
    """Its gradient is 0; the corrupted view's is the difference of the probabilities."""
    import tensorflow as tf

    logits = tf.Variable(np.random.default_rng(0).normal(0, 2, (6, 7)).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(view_divergence(logits))
    gradient = tape.gradient(total, logits).numpy()
    probabilities = softmax(logits.numpy())
    assert np.array_equal(gradient[:3], np.zeros((3, 7), np.float32))
    assert np.allclose(gradient[3:], probabilities[3:] - probabilities[:3], atol=1e-5)


def test_training_brings_the_corrupted_views_to_the_prediction_on_the_clean_ones() -> None:
    """A linear network on one batch: the weight of the divergence decides how far the two predictions differ."""
    training_set = TrainingSet(random_faces(8), target_rows(np.arange(8) % 7, 7, PAIRED), np.ones(8, np.float32), False)
    divergences = []
    for weight in (0.01, 10.0):
        recipe = replace(PAIRED, consistency=weight, batch_size=16)
        (batch,) = augmented_batches(training_set, 24, recipe, 0)
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Input((24, 24, 3)), keras.layers.Flatten(), keras.layers.Dense(7)]
        model = keras.Sequential(layers)
        compile_model(model, recipe, Phase("full", 1, 1e-3, 24), False)
        for _ in range(60):
            model.train_on_batch(batch.views, batch.targets, sample_weight=batch.weights)
        divergences.append(float(np.sum(view_divergence(model.predict_on_batch(batch.views)))))
    assert divergences[1] < divergences[0] / 2
