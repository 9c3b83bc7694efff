"""Composed scenes, matching, and `bench detection` on a few scenes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import run

from fer_edge.benchmarks.detection import plan, times
from fer_edge.benchmarks.detection.blazeface import blend, list_tiles
from fer_edge.benchmarks.detection.centerface import decode
from fer_edge.benchmarks.detection.matching import crop_iou, eye_error, false_kind, match, tilt_error
from fer_edge.benchmarks.detection.peer_face import peer_face
from fer_edge.benchmarks.fixtures import negatives
from fer_edge.benchmarks.fixtures.clips import PORTRAIT
from fer_edge.edge.faces.boxes import make_box
from fer_edge.edge.faces.crop import place_crop
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.loading import load
from fer_edge.train.data.scenes import PastedFace, compose, portrait_patch
from fer_edge.train.evaluation.intervals import share_interval

GRAY = np.full((480, 640, 3), 120, np.uint8)


def detected(x: float, y: float, side: float, score: float = 0.9) -> Face:
    return Face(make_box(x - side / 2, y - side / 2, x + side / 2, y + side / 2), score)


def true(x: float, y: float, side: float = 100.0) -> PastedFace:
    return PastedFace((x, y), side, 0.0, 0, 0, None)


@pytest.mark.parametrize("tilt", [0.0, 25.0, -40.0])
@pytest.mark.parametrize("side", [110.0, 200.0])
def test_a_face_is_where_the_scene_says(side: float, tilt: float) -> None:
    portrait = portrait_patch(np.asarray(cv2.imread(str(PORTRAIT)), np.uint8))
    scene = compose(GRAY, [portrait], [((300.0, 230.0), side, tilt)], np.random.default_rng(0))
    matches = match(open_detector().detect(Frame(scene.pixels)), scene.faces)
    assert matches.found.keys() == {0} and not matches.false
    error = eye_error(matches.found[0], scene.faces[0])
    assert error is not None and error < 0.08
    assert tilt_error(matches.found[0], scene.faces[0]) < 10
    assert crop_iou(matches.found[0], scene.faces[0]) > 0.65


faces = st.builds(detected, st.floats(0, 400), st.floats(0, 300), st.floats(20, 200), st.floats(0, 1))


@given(st.lists(faces, max_size=8), st.floats(0, 1))
def test_a_higher_threshold_changes_no_other_match(found: list[Face], threshold: float) -> None:
    """The curve over the threshold counts scores of one detection, see `match`."""
    scene = [true(100, 100), true(220, 110), true(330, 200, 60)]
    low, high = match(found, scene), match([face for face in found if face.score > threshold], scene)
    assert high.found == {index: face for index, face in low.found.items() if face.score > threshold}
    assert high.false == [face for face in low.false if face.score > threshold]
    assert len(low.found) + len(low.false) == len(found)


def test_false_faces_have_their_kind() -> None:
    scene = [true(100, 100), true(220, 100)]
    twice = [detected(100, 102, 90), detected(104, 100, 80, 0.5), detected(100, 115, 30), detected(160, 100, 90)]
    matches = match([*twice, detected(500, 400, 80)], scene)
    assert matches.found == {0: twice[0]}
    kinds = [false_kind(face, scene) for face in matches.false]
    assert sorted(kinds) == ["background", "between faces", "in a face", "in a face"]


def test_overlap_counts_the_tilt() -> None:
    face = replace(detected(200, 200, 80), eyes=((180.0, 190.0), (220.0, 190.0)))
    centre, side, _ = place_crop(face)
    assert crop_iou(face, PastedFace(centre, side, 0.0, 0, 0, None)) == pytest.approx(1)
    octagon = 2 * (math.sqrt(2) - 1)  # a square and the same turned by 45 degrees, in sides squared
    assert crop_iou(face, PastedFace(centre, side, 45.0, 0, 0, None)) == pytest.approx(octagon / (2 - octagon), 1e-3)


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert share_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert share_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I


@pytest.mark.slow
def test_scenes_and_negatives_are_the_same_each_time(synthetic_csv: Path) -> None:
    portrait = portrait_patch(np.asarray(cv2.imread(str(PORTRAIT)), np.uint8))
    scenes = plan.Plan(load(synthetic_csv).split("train"), portrait, [], 1)
    for (case, scene), (again, other), _ in zip(scenes, scenes, range(2), strict=False):
        assert case == again and scene.faces == other.faces and np.array_equal(scene.pixels, other.pixels)
    assert {name: picture.sum() for name, picture in negatives.drawn().items()} == {
        name: picture.sum() for name, picture in negatives.drawn().items()
    }


@pytest.mark.slow
def test_the_command_measures_draws_and_makes_tables(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SIZES", (24, 120))
    monkeypatch.setattr(plan, "PORTRAIT_SIZES", (120,))
    monkeypatch.setattr(plan, "FRAMES", (((640, 480), 1.0),))
    monkeypatch.setattr(plan, "TILTS", (0, 90))
    monkeypatch.setattr(plan, "PORTRAIT_TILTS", (0,))
    monkeypatch.setattr(times, "FRAMES_PER_ROUND", 1)
    out, plot = tmp_path / "detection.json", tmp_path / "detection.png"
    words = ["--data", synthetic_csv, "--count", 2, "--model", "mobilenet_v2", "--out", out, "--plot", plot]
    done = run("detection", *words)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    row = result["rows"][0]
    (portrait,) = (cell for cell in row["cells"] if cell["group"] == "portrait")
    assert portrait["found"] == portrait["faces"] == 2 and portrait["eye_error"]["p50"] < 0.05
    assert row["negatives"]["pictures"]["images"] == len(negatives.drawn())
    recalls = [point["recall_large"] for point in row["curve"]]
    assert recalls == sorted(recalls, reverse=True)
    assert [(each["width"], each["ratio"] > 1) for each in row["times"]] == [(640, True), (1280, True)]
    assert cv2.imread(str(plot)) is not None
    tables = run("table", out)
    assert tables.exit_code == 0, tables.output
    hits, total = portrait["found"], portrait["faces"]
    assert f"| portrait, found | {100 * hits / total:.0f} % | – |" in tables.output


def test_tiles_cover_a_large_frame() -> None:
    assert list_tiles(640, 480) == list_tiles(960, 960) == []
    for width, height in ((1280, 720), (1080, 1920), (4000, 300)):
        covered = np.zeros((height, width), bool)
        for x, y, side in list_tiles(width, height):
            covered[y : y + side, x : x + side] = True
        assert covered.all()


def test_blending_keeps_neighbours_apart() -> None:
    rows = np.zeros((3, 17), np.float32)
    rows[:, :4] = (0, 0, 10, 10), (2, 0, 12, 10), (20, 0, 30, 10)
    rows[:, -1] = 0.5, 0.75, 0.625
    faces = blend(rows)
    assert faces[:, -1].tolist() == [0.75, 0.625]
    assert faces[0, :4] == pytest.approx([1.2, 0, 11.2, 10])


def test_centerface_decodes_what_its_paper_encodes() -> None:
    x, y, width, height, eyes = 83.0, 41.0, 36.0, 48.0, ((74.0, 36.0), (91.0, 37.0))
    heat, size, offset, points = (np.zeros((depth, 32, 40), np.float32) for depth in (1, 2, 2, 10))
    row, column = int(y / 4), int(x / 4)
    heat[0, row, column], heat[0, row, column + 1] = 0.9, 0.6  # a neighbour of the same face
    for cell in (column, column + 1):
        size[:, row, cell] = np.log([height / 4, width / 4])
        offset[:, row, cell] = y / 4 - row - 0.5, x / 4 - cell - 0.5
        for index, eye in enumerate(eyes):
            points[2 * index, row, cell] = (eye[1] - y + height / 2) / height
            points[2 * index + 1, row, cell] = (eye[0] - x + width / 2) / width
    (found,) = decode(heat, size, offset, points, 0.5)
    assert found == pytest.approx([65, 17, 101, 65, *eyes[0], *eyes[1], 0.9], abs=1e-3)


def test_a_peers_crop_is_as_large_as_a_picture() -> None:
    face = peer_face(np.array([100.0, 100, 200, 200, 130, 140, 170, 140, 0.9]), 1.3)
    assert place_crop(face)[1] == pytest.approx(130, abs=1.5)  # boxes have whole pixels


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_missing_wheel_is_one_line(content: bytes | None, synthetic_csv: Path, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "scikit_image-1.0-py3-none-any.whl").write_bytes(content)
    done = run("detection", "--data", synthetic_csv, "--wheels", tmp_path)
    assert done.exit_code == 2
    assert "scikit" in done.stderr.splitlines()[-1]


def test_a_peer_needs_its_wheel(synthetic_csv: Path) -> None:
    done = run("detection", "--data", synthetic_csv, "--detector", "centerface")
    assert done.exit_code == 2
    assert "--wheels" in done.stderr.splitlines()[-1]
