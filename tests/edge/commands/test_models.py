"""`fer-edge models`, and the models that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.expression.model_spec import MODEL_NAMES, shipped_models
from fer_edge.edge.faces.face_models import FACE_MODELS
from fer_edge.edge.tflite.card import checked_card
from fer_edge.edge.tflite.interpreter import open_interpreter, runtime
from fer_edge.models import FOLDER

PORTRAIT = str(FOLDER.parent / "benchmarks" / "astronaut.jpg")


def test_the_shipped_files_are_int8_and_small() -> None:
    paths = [model.path for model in shipped_models()]
    assert {model.text for model in shipped_models()} <= set(MODEL_NAMES)
    assert sum(path.stat().st_size for path in paths) < 16e6
    for path in paths:
        card, model = checked_card(path), open_interpreter(path)
        assert card.quantization == "int8" and model.inputs[0].dtype == model.outputs[0].dtype == np.int8
        assert model.outputs[0].shape == (1, 7)
        assert model.xnnpack == runtime().xnnpack


def test_unknown_names_are_one_line() -> None:
    for words in (["predict", PORTRAIT, "--model", "resnet"], ["models", "show", "resnet"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2 and "unknown model 'resnet'; expected" in result.output


def test_list_verify_and_show() -> None:
    runner = CliRunner()
    listed = json.loads(runner.invoke(main, ["models", "list", "--json"]).stdout)
    shipped = [model.text for model in shipped_models()]
    assert [card["architecture"] for card in listed] == shipped
    assert runner.invoke(main, ["models", "verify"]).stdout.count("ok  ") == len(shipped) + len(FACE_MODELS)
    assert json.loads(runner.invoke(main, ["models", "show", "se_mobilenet_v2"]).stdout)["labels"][3] == "happy"


def test_verify_tries_a_delegate(delegate: Path) -> None:
    done = CliRunner().invoke(main, ["models", "verify", "mobilenet_v2", "--delegate", str(delegate)])
    assert done.exit_code == 0 and "10 of 72 operators on libclaiming.so" in done.stdout
    done = CliRunner().invoke(main, ["models", "verify", "mobilenet_v2", "--delegate", f"{delegate}:wrong=1"])
    assert done.exit_code == 2 and done.stderr.count("FAIL") == 1
