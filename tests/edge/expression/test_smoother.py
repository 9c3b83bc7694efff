"""Score smoothing: independent of the frame rate, steady under noise, one frame late at a change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.expression.smoother import Smoother

HAPPY, SAD, NEUTRAL = (np.eye(7, dtype=np.float32)[i] * 0.93 + np.float32(0.01) for i in (3, 4, 6))


def blend(share: float) -> np.ndarray:
    return np.asarray((1 - share) * NEUTRAL + share * HAPPY, np.float32)


@given(st.floats(0.01, 0.2), st.floats(0.1, 2.0))
def test_the_time_constant_is_in_seconds(step: float, seconds: float) -> None:
    """A small step reaches 1 - 1/e after the time constant, whatever the frame rate."""
    smoother, time = Smoother(seconds), 0.0
    smoother.update(1, blend(0.0), time)
    while time < seconds:
        time += step
        smoothed = smoother.update(1, blend(0.3), time)
    expected = 1 - math.exp(-time / seconds)
    assert (smoothed[3] - NEUTRAL[3]) / (blend(0.3)[3] - NEUTRAL[3]) == pytest.approx(expected, abs=1e-3)
    assert smoothed.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rate", [5, 15, 30])
def test_a_step_shows_one_frame_late(rate: int) -> None:
    smoother = Smoother(0.5)
    for index in range(rate):
        smoother.update(1, SAD, index / rate)
    first = smoother.update(1, HAPPY, 1.0)
    second = smoother.update(1, HAPPY, 1.0 + 1 / rate)
    assert first.argmax() == SAD.argmax() and np.array_equal(second, HAPPY)


def test_flicker_of_single_frames_is_smoothed() -> None:
    smoother = Smoother(0.5)
    smoothed = [smoother.update(1, HAPPY if index % 5 == 4 else SAD, index / 30) for index in range(60)]
    assert {int(scores.argmax()) for scores in smoothed} == {int(SAD.argmax())}


def test_noise_shrinks_as_the_filter_theory_says() -> None:
    """A first-order low-pass with coefficient a leaves a / (2 - a) of the variance of white noise."""
    rng = np.random.default_rng(0)
    smoother, raw, smoothed = Smoother(0.3), [], []
    for index in range(4000):
        scores = blend(float(np.clip(rng.normal(0.3, 0.05), 0, 1)))
        raw.append(scores[3])
        smoothed.append(smoother.update(1, scores, index / 30)[3])
    share = 1 - math.exp(-1 / 30 / 0.3)
    assert np.var(smoothed[100:]) / np.var(raw[100:]) == pytest.approx(share / (2 - share), rel=0.15)


def test_tracks_are_independent_and_can_be_forgotten() -> None:
    smoother = Smoother(0.5)
    smoother.update(1, SAD, 0.0)
    assert np.array_equal(smoother.update(2, HAPPY, 0.0), HAPPY)
    smoother.retain({2})
    assert np.array_equal(smoother.update(1, HAPPY, 0.1), HAPPY)


def test_smoothing_off_and_time_that_jumps_back() -> None:
    smoother = Smoother(0.0)
    smoother.update(1, SAD, 5.0)
    assert np.allclose(smoother.update(1, blend(0.5), 5.1), blend(0.5))
    slow = Smoother(9.0)
    slow.update(1, SAD, 5.0)
    assert np.array_equal(slow.update(1, NEUTRAL, 0.0), NEUTRAL)
