"""The interpreter on the shipped models and on files that are no models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.models import FOLDER


def test_the_graph_of_a_shipped_model_is_listed() -> None:
    model = open_interpreter(FOLDER / "mobilenet_v2_int8.tflite", xnnpack=False)
    tensors, operators = model.tensors(), model.operators()
    assert tensors[model.inputs[0].index] == model.inputs[0] and model.inputs[0].scales == (model.inputs[0].scale,)
    assert model.inputs[0].index in operators[0].inputs and model.outputs[0].index in operators[-1].outputs
    kernel = next(tensors[operator.inputs[1]] for operator in operators if operator.name == "CONV_2D")
    assert len(kernel.scales) == kernel.shape[0] > 1 and kernel.scale == 0


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0\0\0\0TFL3" + bytes(64)])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        open_interpreter(path)


@pytest.mark.parametrize("shipped", [True, False])
def test_a_loaded_model_takes_no_memory_for_its_file(model_folder: Path, shipped: bool) -> None:
    """A copy of one that does not ship may be swapped out, which a test cannot see."""
    path = (FOLDER if shipped else model_folder) / "efficientnet_b0_int8.tflite"
    model = open_interpreter(path)
    name = str(path.resolve()) if shipped else "/memfd:model (deleted)"
    maps = Path("/proc/self/smaps").read_text().partition(f" {name}\n")[2]
    resident = int(next(line for line in maps.splitlines() if line.startswith("Rss:")).split()[1])
    assert resident * 1024 < path.stat().st_size / 10
    assert model.run(np.zeros((1, 48, 48, 1), np.int8))[0].shape == (1, 7)  # and reads it again where it must


@pytest.mark.faults
@pytest.mark.parametrize("change", ["emptied", "written over", "replaced", "removed"])
def test_a_model_file_may_change_while_it_is_in_use(model_folder: Path, change: str) -> None:
    """By cp, scp or an editor. A mapped file would end the process by SIGBUS, or change the scores."""
    path = model_folder / "efficientnet_b0_int8.tflite"
    model, picture = open_interpreter(path), np.zeros((1, 48, 48, 1), np.int8)
    (before,) = model.run(picture)
    if change == "emptied":
        os.truncate(path, 0)
    elif change == "written over":
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
    else:
        path.unlink()
        if change == "replaced":
            path.write_bytes(b"another")
    for _ in range(3):
        assert (model.run(picture)[0] == before).all()
    assert model.operators() and model.tensors()
