"""Files for other programs: labels inside the .tflite file, and ONNX files with the same answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from predictions import CLASSES

from fer_edge.convert.dynamic_shape import allow_any_shape
from fer_edge.convert.metadata import add_metadata, label_file
from fer_edge.convert.onnx_export import synthetic_faces
from fer_edge.convert.runtimes import tflite_runtime_logits
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.tflite.card import card_path, checked_card, write_card
from fer_edge.edge.tflite.labels import read_labels
from fer_edge.models import FOLDER

pytestmark = pytest.mark.tensorflow

EXPORT_PAGE = FOLDER.parent / "docs" / "export.md"


@pytest.fixture
def model_copy(tiny: Path, tmp_path: Path) -> Path:
    """The tiny float model and its card, in a folder of their own."""
    shutil.copy(card_path(tiny), tmp_path)
    return Path(shutil.copy(tiny, tmp_path))


def with_labels(model: Path, text: str, method: int = zipfile.ZIP_STORED) -> Path:
    """The file with labels as other tools write them."""
    with zipfile.ZipFile(model, "a", method) as archive:
        archive.writestr("readme.txt", "first")
        archive.writestr("labels.txt", text)
    return model


# --- labels ----------------------------------------------------------------------------------------------------


def test_a_labelled_file_is_a_zip_archive_with_the_same_answers(model_copy: Path) -> None:
    plain = model_copy.read_bytes()
    before = TFLiteClassifier(model_copy, classes=CLASSES).logits(synthetic_faces(8))
    assert read_labels(model_copy) is None
    label_file(model_copy, model_copy.parent)
    with zipfile.ZipFile(model_copy) as archive:
        assert archive.read("labels.txt").decode().split() == list(CLASSES)
        assert archive.testzip() is None
    assert read_labels(model_copy) == CLASSES
    assert checked_card(model_copy).labels == CLASSES
    assert np.array_equal(TFLiteClassifier(model_copy, classes=CLASSES).logits(synthetic_faces(8)), before)
    licence = checked_card(model_copy).licence
    assert (
        model_copy.read_bytes()
        == add_metadata(model_copy.read_bytes(), "tiny", CLASSES, licence)
        == add_metadata(plain, "tiny", CLASSES, licence)
    )


def test_a_shipped_file_labelled_again_is_the_same_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.convert.metadata.package_version", lambda: "0.1.0")  # the one that wrote it
    model = FOLDER / "mobilenet_v2_small_int8.tflite"
    card, content = checked_card(model), model.read_bytes()
    assert add_metadata(content, card.name, card.labels, card.licence) == content


def test_the_other_runtime_loads_a_labelled_file_too(tiny: Path, model_copy: Path, tflite_python: Path) -> None:
    label_file(model_copy, model_copy.parent)
    one, other = (tflite_runtime_logits(tflite_python, path, synthetic_faces(4))[1] for path in (tiny, model_copy))
    assert np.array_equal(one, other)


def test_the_shipped_blazeface_takes_any_shape() -> None:
    content = (FOLDER / "face" / "blazeface_short.tflite").read_bytes()
    assert allow_any_shape(content) == content
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    options = [operator.builtinOptions for graph in model.subgraphs for operator in graph.operators]
    shapes = [list(each.newShape) for each in options if isinstance(each, schema.ReshapeOptionsT)]
    assert sorted(shapes) == [[1, -1, 1]] * 2 + [[1, -1, 16]] * 2


def field(table: Any, slot: int) -> Any:
    """The offset of a flatbuffer table's field, by number; 0 where it has none."""
    return table.Offset(4 + 2 * slot)


def tables(table: Any, slot: int) -> list[Any]:
    start, count = table.Vector(field(table, slot)), table.VectorLen(field(table, slot))
    return [
        flatbuffers.table.Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(count)
    ]  # a vector of tables holds offsets


def text(table: Any, slot: int) -> str:
    return str(table.String(table.Pos + field(table, slot)).decode())


def test_the_metadata_follows_the_schema(tiny: Path) -> None:
    """Read by field numbers of metadata_schema.fbs; tflite-support 0.4.4 reads the same."""
    model = schema.ModelT.InitFromPackedBuf(add_metadata(tiny.read_bytes(), "quarters", CLASSES, "some licence"), 0)
    (entry,) = (each for each in model.metadata if each.name == b"TFLITE_METADATA")
    content = bytes(model.buffers[entry.buffer].data)
    assert content[4:8] == b"M001"
    root = flatbuffers.table.Table(content, flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0))
    assert (text(root, 0), text(root, 5), text(root, 7)) == ("quarters", "some licence", "1.0.0")
    (graph,) = tables(root, 3)
    ((image,), (emotion,)) = tables(graph, 2), tables(graph, 3)
    assert (text(image, 0), text(emotion, 0)) == ("image", "emotion")
    assert "96 by 96 pixels, gray, the same in all three channels: gray / 127.5 - 1." in text(image, 1)
    (labels,) = tables(emotion, 6)
    kind = labels.Get(flatbuffers.number_types.Int8Flags, labels.Pos + field(labels, 2))
    assert (text(labels, 0), kind) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_other_labels_are_refused(tiny: Path, tmp_path: Path, method: int) -> None:
    ours, others = (Path(shutil.copy(tiny, tmp_path / name)) for name in ("ours.tflite", "others.tflite"))
    TFLiteClassifier(with_labels(ours, "\n".join(CLASSES), method))
    assert read_labels(ours) == CLASSES
    with pytest.raises(ModelError, match="carries the labels happy, sad; its card names angry, disgust"):
        TFLiteClassifier(with_labels(others, "happy\nsad\n", method), classes=CLASSES)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4), st.integers(0, 60))
def test_a_damaged_archive_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], lost: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.unlink(missing_ok=True)
    content = bytearray(with_labels(path, "\n".join(CLASSES), zipfile.ZIP_DEFLATED).read_bytes())
    for place, value in changes:
        content[-1 - place] = value
    path.write_bytes(content[lost:])
    with suppress(ModelError):
        read_labels(path)


def test_the_command_labels_a_file_and_its_card_fits(model_copy: Path) -> None:
    old = checked_card(model_copy).sha256
    done = CliRunner().invoke(main, ["models", "label", str(model_copy)])
    assert done.exit_code == 0, done.output
    assert checked_card(model_copy).sha256 != old
    shown = json.loads(CliRunner().invoke(main, ["models", "show", str(model_copy)]).stdout)
    assert shown["labels_inside"] == list(CLASSES)


def test_a_file_that_is_not_ours_gets_no_labels(model_copy: Path, mistake: Callable[..., str]) -> None:
    """Neither our order nor our licence nor our input is written into it."""
    before, card = model_copy.read_bytes(), checked_card(model_copy)
    for changes in (
        {"pixel_range": (0.0, 255.0)},
        {"output": "softmax"},
        {"architecture": "unknown"},
        {"colour": "rgb", "crop_margin": 1.2},
    ):
        write_card(model_copy, replace(card, **changes))
        assert "another maker" in mistake("models", "label", model_copy)
    write_card(model_copy, replace(card, labels=card.labels[:3]))
    assert "7 outputs" in mistake("models", "label", model_copy)
    card_path(model_copy).unlink()
    assert "no card" in mistake("models", "label", model_copy)
    assert model_copy.read_bytes() == before


def test_the_classes_and_the_licence_are_the_cards(model_copy: Path) -> None:
    card = replace(checked_card(model_copy), labels=tuple("abcdefg"), licence="CC0-1.0")
    write_card(model_copy, card)
    label_file(model_copy, model_copy.parent)
    assert read_labels(model_copy) == checked_card(model_copy).labels == card.labels
    assert b"CC0-1.0" in model_copy.read_bytes() and b"disgust" not in model_copy.read_bytes()


# --- ONNX ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_file(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny float model as ONNX, made by the command; model and card are in its folder."""
    folder = tmp_path_factory.mktemp("onnx")
    shutil.copy(card_path(tiny), folder)
    model = Path(shutil.copy(tiny, folder))
    done = CliRunner().invoke(main, ["models", "onnx", str(model)])
    assert done.exit_code == 0, done.output
    assert "on 100.0 % of 100 faces" in done.stdout
    return model.with_suffix(".onnx")


def test_onnx_needs_no_data_set(onnx_file: Path) -> None:
    import onnx

    proto = onnx.load(onnx_file)
    properties = {each.key: each.value for each in proto.metadata_props}
    assert properties["labels"].split(",") == list(CLASSES)
    assert properties["input_range"] == "-1,1" and properties["model_license"] == "unknown"
    assert [each.name for each in (*proto.graph.input, *proto.graph.output)] == ["image", "logits"]
    entry = checked_card(onnx_file.with_suffix(".tflite")).conversion["onnx"]
    assert (entry["file"], entry["bytes"]) == (onnx_file.name, onnx_file.stat().st_size)
    assert entry["largest_difference"] < 1e-3


def test_the_example_in_the_docs_runs(onnx_file: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", EXPORT_PAGE.read_text("utf-8"), re.DOTALL)
    shutil.copy(onnx_file, tmp_path / "mobilenet_v2_int8.onnx")
    cv2.imwrite(str(tmp_path / "face.png"), synthetic_faces(1)[0])
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scores = TFLiteClassifier(onnx_file.with_suffix(".tflite"), classes=CLASSES).logits(synthetic_faces(1))[0]
    assert done.stdout.split()[0] == CLASSES[scores.argmax()]


def test_an_onnx_file_with_other_answers_is_not_written(model_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_edge.convert import onnx_export

    monkeypatch.setattr(onnx_export, "FLOAT_TOLERANCE", onnx_export.Tolerance(1.01, 0))
    before = card_path(model_copy).read_text()
    done = CliRunner().invoke(main, ["models", "onnx", str(model_copy)])
    assert done.exit_code == 2
    assert "tiny.tflite on 100.0 %" in done.stderr.splitlines()[-1]
    assert not model_copy.with_suffix(".onnx").exists()
    assert card_path(model_copy).read_text() == before


def test_a_failed_onnx_conversion_is_one_line(model_copy: Path) -> None:
    from fer_edge.convert import onnx_export

    graph = schema.ModelT.InitFromPackedBuf(model_copy.read_bytes(), 0)
    pool = next(each for each in graph.operatorCodes if each.builtinCode == schema.BuiltinOperator.AVERAGE_POOL_2D)
    pool.builtinCode = pool.deprecatedBuiltinCode = schema.BuiltinOperator.L2_POOL_2D  # tf2onnx knows none such
    builder = flatbuffers.Builder(1024)
    builder.Finish(graph.Pack(builder), b"TFL3")
    model_copy.write_bytes(builder.Output())
    TFLiteClassifier(model_copy, classes=CLASSES)
    with pytest.raises(ModelError, match=r"tf2onnx cannot convert .*; no ONNX file was written"):
        onnx_export.onnx_bytes(model_copy, CLASSES, "none")


def test_a_tflite_file_is_no_float_network(model_copy: Path) -> None:
    done = CliRunner().invoke(main, ["convert", str(model_copy), "--data", "none.csv"])
    assert done.exit_code == 2 and "is converted already" in done.stderr.splitlines()[-1]


def test_a_missing_file_is_one_line() -> None:
    done = CliRunner().invoke(main, ["models", "onnx", "none.tflite"])
    assert done.exit_code == 2 and "none.tflite: no such file" in done.stderr.splitlines()[-1]


def test_a_missing_extra_is_one_line(model_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fer_edge.convert.onnx_export", raising=False)
    monkeypatch.delattr("fer_edge.convert.onnx_export", raising=False)
    monkeypatch.setitem(sys.modules, "tf2onnx.convert", None)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    done = CliRunner().invoke(main, ["models", "onnx", str(model_copy)])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("fer-edge: this command needs tf2onnx: ")
