"""Which model a name, a file or a run folder stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble import member_files
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, MODEL_NAMES, parse_model_spec, shipped_models
from fer_edge.models import FOLDER

EVERY_KIND = ("tflite", *FLOAT_KINDS)


def test_names_and_files_of_the_device() -> None:
    for name in MODEL_NAMES:
        spec = parse_model_spec(name)
        assert (spec.kind, spec.path) == ("tflite", FOLDER / f"{name}_int8.tflite")
        assert (spec in shipped_models()) == spec.path.exists()
    assert parse_model_spec("ensemble").path == FOLDER / "ensemble.json"
    assert parse_model_spec("mine/ensemble.json").kind == "ensemble"
    assert parse_model_spec("mine/x.tflite").path == Path("mine/x.tflite")
    assert member_files("mine/x.tflite") == [Path("mine/x.tflite")]
    assert set(member_files("ensemble")) <= {model.path for model in shipped_models()}


def test_a_run_folder_stands_for_its_float_network(tmp_path: Path) -> None:
    assert parse_model_spec(str(tmp_path), EVERY_KIND).path == tmp_path / "float.keras"
    (tmp_path / "float.npz").touch()
    weights = parse_model_spec(str(tmp_path), EVERY_KIND)
    assert (weights.kind, weights.path) == ("npz", tmp_path / "float.npz")
    (tmp_path / "float.keras").touch()
    assert parse_model_spec(str(tmp_path), EVERY_KIND).kind == "keras"
    run = parse_model_spec("mobilenet_v2", FLOAT_KINDS, runs=tmp_path)
    assert (run.kind, run.path) == ("keras", tmp_path / "mobilenet_v2" / "float.keras")
    assert parse_model_spec("mobilenet_v2", EVERY_KIND).kind == "tflite"
    (tmp_path / "other").mkdir()
    assert parse_model_spec("other", FLOAT_KINDS, runs=tmp_path).path == tmp_path / "other" / "float.keras"


@pytest.mark.parametrize(
    ("text", "accept", "expected"),
    [
        ("resnet", ("ensemble", "tflite"), r"'resnet'; expected ensemble, mobilenet_v2, .*an ensemble's .json file or"),
        ("ensemble", ("tflite",), r"'ensemble'; expected mobilenet_v2, .* or a \.tflite file$"),
        ("x.npz", ("tflite",), r"x\.npz is a \.npz file of weights; expected mobilenet_v2"),
        ("x.tflite", FLOAT_KINDS, r"expected a run folder, a \.keras or \.h5 file or a \.npz file of weights$"),
        (300 * "x", EVERY_KIND, "unknown model"),
        ("", ("tflite",), "expected mobilenet_v2"),
    ],
)
def test_the_error_lists_what_is_accepted(text: str, accept: tuple, expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        parse_model_spec(text, accept)
