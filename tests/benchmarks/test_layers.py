"""Time per kind of layer, on the shipped networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from measuring import run

from fer_edge.benchmarks.layers import KINDS, operators, truncate
from fer_edge.edge.tflite.interpreter import open_interpreter, runtime
from fer_edge.models import FOLDER

CONTENT = (FOLDER / "se_mobilenet_v2_int8.tflite").read_bytes()


@pytest.mark.parametrize("count", [1, 4, 30, len(list(operators(CONTENT)))])
def test_a_truncated_network_computes_the_same_tensor(count: int, tmp_path: Path) -> None:
    (tmp_path / "truncated.tflite").write_bytes(truncate(CONTENT, count))
    truncated = open_interpreter(tmp_path / "truncated.tflite", xnnpack=False)
    (tensor,) = truncated.inputs
    face = np.random.default_rng(0).integers(-128, 128, tensor.shape).astype(tensor.dtype)
    network = runtime().module.Interpreter(
        model_content=CONTENT,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=runtime().module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    network.allocate_tensors()
    network.set_tensor(network.get_input_details()[0]["index"], face)
    network.invoke()
    np.testing.assert_array_equal(truncated.run(face)[0], network.get_tensor(truncated.outputs[0].index))
    assert list(truncated.outputs[0].shape) == list(operators(CONTENT))[count - 1]["shape"]


@pytest.mark.slow
def test_every_operator_is_of_one_kind_and_its_time_counted(tmp_path: Path) -> None:
    done = run("layers", "mobilenet_v2", "--rounds", "2", "--out", tmp_path / "layers.json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "layers.json").read_text())["rows"]
    assert list(row["kinds"]) == list(KINDS)
    of_kind = {kind: [layer["ms"] for layer in row["layers"] if layer["kind"] == kind] for kind in KINDS}
    for kind, figures in row["kinds"].items():
        assert figures["operators"] == len(of_kind[kind])
        assert figures["ms"] == pytest.approx(sum(of_kind[kind]), abs=0.01)
    assert sum(map(len, of_kind.values())) == len(row["layers"])
    assert len(of_kind["depthwise convolution"]) == 17  # of its blocks (Sandler et al. 2018, table 2)
    assert row["ms"] == pytest.approx(sum(each["ms"] for each in row["kinds"].values()), abs=0.01)
    (line,) = [line for line in run("table", tmp_path / "layers.json").stdout.splitlines() if "| mobilenet_v2" in line]
    assert line.count("%") == len(KINDS)


def test_several_networks_are_refused(mistake: Callable[..., str]) -> None:
    assert "ensemble is several networks; expected single ones" in mistake("bench", "layers", "ensemble")
