"""Training corruptions: each step does what a camera does, repeatably, on as many faces as the recipe says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_faces import random_faces

from fer_edge.edge.preprocess import FACE_SIZE, network_input
from fer_edge.train import camera_corruptions as camera
from fer_edge.train import occlusions
from fer_edge.train.augment import augment
from fer_edge.train.recipes import Recipe

UNCHANGED = replace(Recipe(), flip=0.0, rotation=0.0, zoom=0.0, shift=0.0, contrast=0.0, brightness=0.0)

SEEDS = st.integers(0, 2**32 - 1)
STEPS = [step for step, _ in camera.STEPS]


def smooth_face() -> np.ndarray:
    """(48, 48) uint8: as strong in low frequencies as a face, with a gray of its own in each region."""
    enlarged = cv2.resize(random_faces(1)[0][:6, :6], (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


@given(SEEDS)
def test_a_corrupted_face_is_a_face_again_and_the_same_for_the_same_seed(seed: int) -> None:
    face = smooth_face()
    before = face.copy()
    one, two = (camera.corrupt(face, np.random.default_rng(seed)) for _ in range(2))
    assert one.shape == (FACE_SIZE, FACE_SIZE) and one.dtype == np.uint8
    assert np.array_equal(one, two) and np.array_equal(face, before)


@given(SEEDS, st.sampled_from(STEPS), st.integers(camera.SIDES[0], FACE_SIZE))
def test_every_step_takes_the_face_at_the_size_that_the_camera_has(
    seed: int, step: camera.Corruption, side: int
) -> None:
    """Those before the sampling have it at 48 px, those after it at any size."""
    sampled = STEPS.index(step) > STEPS.index(camera.downscale)
    face = cv2.resize(smooth_face(), (side, side)) if sampled else smooth_face()
    result = step(face, np.random.default_rng(seed))
    assert result.dtype == np.uint8
    assert result.shape == face.shape or (step is camera.downscale and result.shape < face.shape)


def test_the_probabilities_of_the_steps_sum_to_one() -> None:
    assert sum(share for _, share in camera.STEPS) == pytest.approx(1)
    assert sum(camera.HOW_MANY) == pytest.approx(1) and sum(occlusions.KINDS) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_as_many_faces_are_corrupted_as_the_recipe_says(share: float) -> None:
    """To within four standard errors of a share of 600 faces; the others are what they are without corruptions."""
    faces = random_faces(600)
    clean = augment(faces, FACE_SIZE, UNCHANGED, np.random.default_rng(0))
    views = augment(faces, FACE_SIZE, replace(UNCHANGED, corruption=share), np.random.default_rng(1))
    corrupted = (views != clean).any(axis=(1, 2, 3)).mean()
    assert abs(corrupted - share) <= 4 * np.sqrt(share * (1 - share) / len(faces))
    assert np.abs(clean - network_input(faces, FACE_SIZE)).max() == 0


@given(st.floats(*camera.MOTION), st.floats(0, np.pi))
def test_motion_is_a_line_of_its_length_and_direction(length: float, angle: float) -> None:
    """Its variance along an axis is that of the points, and what sharing a point between two pixels adds: 0 to 1/4."""
    kernel = camera.line_kernel(length, angle)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-6)  # so that the face stays where it is
    count = 4 * int(np.ceil(length / 2)) + 1
    variance = length**2 / 12 * (count + 1) / (count - 1)
    for axis, share in ((0, np.cos(angle) ** 2), (1, np.sin(angle) ** 2)):
        added = float(kernel.sum(axis=axis) @ offsets**2) - share * variance
        assert -1e-4 <= added <= 0.25 + 1e-4


@given(st.floats(*camera.DEFOCUS))
def test_a_disk_has_its_standard_deviation(deviation: float) -> None:
    """To within the quarter pixel by which a pixel at the edge can be off, of a disk that has at least nine."""
    kernel = camera.disk_kernel(deviation)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    assert np.allclose(kernel, kernel.T) and np.allclose(kernel, kernel[::-1])
    assert np.sqrt(kernel.sum(axis=0) @ offsets**2) == pytest.approx(deviation, abs=0.25)


def high_frequencies(face: np.ndarray) -> float:
    """Energy above half of the highest frequency, in any direction."""
    spectrum = np.abs(np.fft.fft2(face - face.mean())) ** 2
    frequency = np.abs(np.fft.fftfreq(FACE_SIZE))
    return float(spectrum[np.maximum(frequency[:, None], frequency) > 0.25].sum())


@given(SEEDS, st.sampled_from([camera.defocus, camera.motion_blur]))
def test_blur_takes_high_frequencies_and_keeps_the_light(seed: int, step: camera.Corruption) -> None:
    """In a face whose border is flat as far as any kernel reaches, of which the mean is kept to the rounding."""
    face = np.full((FACE_SIZE, FACE_SIZE), 128, np.uint8)
    face[12:-12, 12:-12] = random_faces(1)[0][12:-12, 12:-12]
    blurred = step(face, np.random.default_rng(seed))
    assert high_frequencies(blurred) < high_frequencies(face)
    assert abs(float(blurred.mean()) - float(face.mean())) <= 0.5


@given(SEEDS)
def test_a_small_face_holds_no_more_than_its_pixels(seed: int) -> None:
    """Enlarged again, it lies in the span of so many columns and rows of bilinear interpolation, to the rounding."""
    face = random_faces(1)[0]
    small = camera.downscale(face, np.random.default_rng(seed))
    side = len(small)
    assert camera.SIDES[0] <= side <= camera.SIDES[1]
    assert abs(float(small.mean()) - float(face.mean())) <= 0.5
    enlarged = camera.shrink(small).astype(np.float64)
    basis = cv2.resize(np.eye(side), (side, FACE_SIZE), interpolation=cv2.INTER_LINEAR)  # (48, S)
    project = basis @ np.linalg.pinv(basis)
    assert np.sqrt(np.mean((enlarged - project @ enlarged @ project) ** 2)) <= 0.5


@given(st.floats(0, 30), st.floats(0, 20), st.integers(110, 145), SEEDS)
def test_noise_has_the_variance_of_a_sensor(read: float, shot: float, gray: int, seed: int) -> None:
    """Of read noise, and of shot noise in proportion to the light; to five standard errors, and rounding."""
    flat = np.full((100, 100), gray, np.uint8)
    noise = camera.noisy(flat, read, shot, np.random.default_rng(seed)).astype(np.float64) - gray
    expected = np.sqrt(read**2 + shot**2 * gray / 128)
    error = 5 * expected / np.sqrt(2 * flat.size)
    assert abs(noise.std() - expected) <= error + 0.5
    assert abs(noise.mean()) <= 5 * expected / np.sqrt(flat.size) + 0.01


@pytest.mark.parametrize("seed", range(20))
def test_low_light_is_dark_or_noisy_as_its_electrons_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an eighth of the light, which no noise clips. gray * light * (3 to 30) electrons with read noise of 1 to 6."""
    gray, light = 120, 0.125
    monkeypatch.setattr(camera, "LIGHT", (light, light))
    dark = camera.low_light(np.full((100, 100), gray, np.uint8), np.random.default_rng(seed)).astype(np.float64)
    few, many = 3 * gray * light, 30 * gray * light
    sampling, rounding = 5 / np.sqrt(2 * dark.size), 0.5 / dark.mean()
    relative = dark.std() / dark.mean()
    assert np.sqrt(many + 1) / many * (1 - sampling) - rounding <= relative
    assert relative <= np.sqrt(few + 36) / few * (1 + sampling) + rounding
    assert gray * light * (1 - 5 * relative / 100) - 0.5 <= dark.mean() <= gray * (1 + 5 * relative / 100) + 0.5


@given(SEEDS)
def test_a_tone_curve_keeps_the_order_of_gray_levels(seed: int) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.all(np.diff(camera.expose(ramp, np.random.default_rng(seed)).ravel().astype(int)) >= 0)


def test_compression_has_its_blocks_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the lowest quality a slow gradient becomes flat blocks; their borders lie in each of eight places."""
    monkeypatch.setattr(camera, "QUALITY", (1, 1))
    gradient = np.tile(np.arange(0, 4 * FACE_SIZE, 4, dtype=np.uint8), (FACE_SIZE, 1))
    places = set()
    for seed in range(100):
        row = camera.compress(gradient, np.random.default_rng(seed))[24].astype(int)
        borders = {int(place) % 8 for place in np.flatnonzero(np.diff(row)) + 1}
        assert len(borders) == 1
        places |= borders
    assert places == set(range(8))


def test_a_lower_quality_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    for quality in (60, 30, 6):
        monkeypatch.setattr(camera, "QUALITY", (quality, quality))
        changed = camera.compress(smooth_face(), np.random.default_rng(1))
        errors.append(float(np.abs(changed.astype(float) - smooth_face()).mean()))
    assert errors == sorted(errors) and errors[0] > 0


@given(SEEDS)
def test_an_occlusion_has_one_gray_and_leaves_the_rest(seed: int) -> None:
    face = random_faces(1)[0]
    occluded = occlusions.occlude(face, np.random.default_rng(seed))
    changed = occluded != face
    assert 0 < changed.mean() < 0.6
    assert len(np.unique(occluded[changed])) == 1


@given(SEEDS)
def test_a_block_has_its_area(seed: int) -> None:
    """To the rounding of its sides."""
    face = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
    occlusions.block(face, 255, np.random.default_rng(seed))
    height, width = (int(face.any(axis=axis).sum()) for axis in (1, 0))
    assert (face > 0).sum() == height * width
    low, high = (share * face.size for share in occlusions.BLOCK_AREA)
    assert (height + 0.5) * (width + 0.5) >= low and (height - 0.5) * (width - 0.5) <= high
