"""Networks of other makers: their own crops, colours, pixel ranges and softmax, as their cards say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from dense_networks import dense_network, plain_answers, stripes
from random_faces import random_faces

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import Ensemble, open_classifier
from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint
from fer_edge.edge.expression.score_cache import ScoreCache
from fer_edge.edge.faces.crop import crops_on_demand, face_crop, format_crop
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.preprocess import CropFormat, FaceCrops
from fer_edge.edge.tflite.card import ModelCard, read_card, sha256, write_card
from fer_edge.edge.types import Box, Face, Frame

PORTRAIT = Path(__file__).parents[3] / "benchmarks" / "astronaut.jpg"
CLASSES = ("asleep", "awake", "away")
FACE = Face(Box(170, 60, 110, 120), 1.0, ((200.0, 105.0), (245.0, 108.0)))


def own_network(folder: Path, content: bytes, name: str = "own", **fields: object) -> Path:
    """A file with its card; by default one for colour crops as the detector's box has them, and a softmax."""
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    own: dict[str, object] = {"colour": "rgb", "pixel_range": (0, 1), "output": "softmax", "crop_margin": 1.0}
    write_card(path, replace(ModelCard(path.stem, "unknown", sha256(path), CLASSES), **(own | fields)))  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def frame() -> Frame:
    return Frame(cv2.imread(str(PORTRAIT)))


def test_a_network_gets_its_crop_in_colour_and_its_scores_are_the_files_own(tmp_path: Path, frame: Frame) -> None:
    path = own_network(tmp_path, dense_network(stripes(3, (40, 24, 3))))
    form = CropFormat(24, 40, "rgb", 1.0)
    crop = format_crop(frame, FACE, form)
    assert crop.shape == (40, 24, 3) and crop[..., 0].mean() > crop[..., 2].mean() + 20  # skin is redder than blue
    (expected,) = plain_answers(path, crop[None] / np.float32(255))
    crops = crops_on_demand(frame, [FACE], face_crop(frame, FACE)[None])
    (scores,) = open_classifier(str(path))(crops)
    assert np.abs(scores - expected).max() <= 4 * np.finfo(np.float32).eps


def test_channels_come_in_the_cards_order(tmp_path: Path, frame: Frame) -> None:
    rgb, bgr, gray = (format_crop(frame, FACE, CropFormat(24, 40, colour, 1.0)) for colour in ("rgb", "bgr", "gray"))
    assert np.array_equal(rgb, bgr[..., ::-1]) and gray.shape == (40, 24)
    weights = stripes(3, (40, 24, 3))
    crops = crops_on_demand(frame, [FACE], face_crop(frame, FACE)[None])
    inputs = {"rgb": rgb, "bgr": bgr, "gray": np.repeat(gray[..., None], 3, axis=2)}
    for colour, picture in inputs.items():
        path = own_network(tmp_path, dense_network(weights), colour, colour=colour)
        (expected,) = plain_answers(path, picture[None] / np.float32(255))
        assert np.allclose(open_classifier(str(path))(crops)[0], expected, atol=1e-6)


def test_means_and_deviations_of_each_channel(tmp_path: Path) -> None:
    mean, deviation = np.array([123.7, 116.8, 103.9]), np.array([58.4, 57.1, 57.4])
    pairs = tuple(((0 - m) / d, (255 - m) / d) for m, d in zip(mean.tolist(), deviation.tolist(), strict=True))
    path = own_network(tmp_path, dense_network(stripes(3, (48, 48, 3))), pixel_range=pairs)
    assert read_card(path).pixel_range == pairs
    faces = random_faces(4)
    colours = np.repeat(faces[..., None], 3, axis=3)
    expected = plain_answers(path, ((colours - mean) / deviation).astype(np.float32))
    assert np.allclose(open_classifier(str(path))(faces), expected, atol=1e-6)  # a gray face, in three channels


@pytest.mark.parametrize(("kind", "zero", "first"), [("uint8", 0, 0), ("int8", -128, -128), ("uint8", 127, 0)])
def test_integer_inputs_whose_steps_are_gray_levels_take_pixels_as_they_are(
    tmp_path: Path, kind: str, zero: int, first: int
) -> None:
    symmetric = zero == 127  # -1..1: real values half-way between two steps
    scale, pixel_range = (1 / 127.5, (-1, 1)) if symmetric else (1 / 255, (0, 1))
    content = dense_network(stripes(3, (48, 48, 1)), kind, scale, zero)
    path = own_network(tmp_path, content, colour="gray", pixel_range=pixel_range)
    faces = random_faces(4)
    expected = plain_answers(path, faces[..., None].astype(np.int16) + first)
    logits = open_member(path)[0].logits(faces)
    assert np.array_equal(np.rint(np.exp(logits) * 256), np.rint(expected * 256))
    scores = open_classifier(str(path))(faces)
    assert np.allclose(scores, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_an_output_may_have_the_shape_of_a_picture(tmp_path: Path) -> None:
    """As networks that end in a 1x1 convolution have it."""
    path = own_network(tmp_path, dense_network(stripes(3, (48, 48, 1)), shape=(1, 1, 1, 3)), colour="gray")
    faces = random_faces(4)
    expected = plain_answers(path, faces[..., None] / np.float32(255))
    assert expected.shape == (4, 3) and np.allclose(open_classifier(str(path))(faces), expected, atol=1e-6)
    with pytest.raises(ModelError, match=r"expected .* logits of C classes"):
        open_member(own_network(tmp_path, dense_network(stripes(3, (48, 48, 1)), shape=(1, 3, 1)), colour="gray"))


def test_a_softmax_of_integers_may_hold_zeros(tmp_path: Path) -> None:
    content = dense_network(40 * stripes(3, (48, 48, 1)), "int8", 1 / 255, -128)
    path = own_network(tmp_path, content, colour="gray")
    face = np.zeros((1, 48, 48), np.uint8)
    face[:, :16] = 255
    logits = open_member(path)[0].logits(face)
    assert np.isfinite(logits).all() and open_classifier(str(path))(face)[0].max() > 0.99


def test_one_sigmoid_stands_for_two_classes(tmp_path: Path) -> None:
    content = dense_network(stripes(1, (48, 48, 1)), ending="sigmoid")
    path = own_network(tmp_path, content, colour="gray", output="sigmoid", labels=CLASSES[:2])
    faces = random_faces(4)
    expected = plain_answers(path, faces[..., None] / np.float32(255))
    assert np.allclose(open_classifier(str(path))(faces), np.hstack([1 - expected, expected]), atol=1e-6)


def test_outputs_that_are_not_what_the_card_says_are_an_error(tmp_path: Path) -> None:
    path = own_network(tmp_path, dense_network(stripes(3, (48, 48, 1)), ending="logits"), colour="gray")
    with pytest.raises(ModelError, match=r"card says softmax; expected .* sum 1; write its card again"):
        open_classifier(str(path))(random_faces(1))
    own_network(tmp_path, path.read_bytes(), colour="gray", output="logits")
    assert np.allclose(open_classifier(str(path))(random_faces(1)).sum(), 1)


def test_a_network_with_one_channel_has_no_colours(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one channel; its card says rgb"):
        open_member(own_network(tmp_path, dense_network(stripes(3, (48, 48, 1)))))


def test_networks_with_crops_of_their_own_share_an_ensemble(tmp_path: Path, frame: Frame) -> None:
    """One 48-px network as `train` makes them, two of others; each crop is made once, and only if it is needed."""
    house = own_network(
        tmp_path, dense_network(stripes(3, (48, 48, 1)), ending="logits"), "house",
        colour="gray", pixel_range=(-1, 1), output="logits", crop_margin=None,
    )  # fmt: skip
    names = [own_network(tmp_path, dense_network(stripes(3, (40, 24, 3), seed)), f"own{seed}") for seed in (1, 2)]
    members = [open_member(path)[0] for path in (house, *names)]
    whole = Ensemble(members, [0.5, 0.25, 0.25], 1.0)
    made: list[CropFormat] = []

    def crop(index: int, form: CropFormat) -> np.ndarray:
        made.append(form)
        return format_crop(frame, FACE, form)

    gray = face_crop(frame, FACE)[None]
    scores = whole(FaceCrops(gray, crop))
    assert made == [CropFormat(24, 40, "rgb", 1.0)]
    own = [open_classifier(str(path))(FaceCrops(gray, crop)) for path in names]
    assert np.allclose(scores, (2 * open_classifier(str(house))(gray) + sum(own)) / 4, atol=1e-6)
    made.clear()
    point = OperatingPoint((0.0, 0.0), (1.0, 0.0, 0.0), 1.0, 0.0)
    early = whole.cascade(Cascade((1.0, 1.0, 1.0), (point,), 0))
    cache = ScoreCache(0.13)
    assert np.allclose(cache.scores(early, [1], FaceCrops(gray, crop), 0.0), open_classifier(str(house))(gray))
    assert made == []  # the first network was sure


def test_pipeline_cuts_out_what_the_network_takes(tmp_path: Path, frame: Frame) -> None:
    class Detector:
        description = "fixed"

        def detect(self, frame: Frame) -> list[Face]:
            return [FACE]

    path = own_network(tmp_path, dense_network(stripes(3, (40, 24, 3))))
    (prediction,) = Pipeline(Detector(), open_classifier(str(path))).process(frame)
    (expected,) = plain_answers(path, format_crop(frame, FACE, CropFormat(24, 40, "rgb", 1.0))[None] / np.float32(255))
    assert np.allclose(prediction.scores, expected, atol=1e-6) and prediction.classes == CLASSES
