"""Networks on a delegate that the tests compile, and on LiteRT's accelerators."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from ctypes import CDLL, c_int
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.accelerated import deviation
from fer_edge.edge.tflite.compiled_model import parse_accelerators
from fer_edge.edge.tflite.delegate import parse_delegate
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.tflite.operators import Operator, count_covered, parts_of
from fer_edge.edge.types import Acceleration
from fer_edge.models import FOLDER

MOBILENET = FOLDER / "mobilenet_v2_int8.tflite"
PICTURE = Path(__file__).parents[3] / "benchmarks" / "astronaut.jpg"
ADD, MUL, NONE = 0, 18, 60
"""Builtin codes: MobileNetV2 has ten operators of the first, one of the second, none of the third."""


def outputs(network: Network) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    inputs = [rng.integers(-128, 128, tensor.shape, np.int8) for tensor in network.inputs]
    return [output.copy() for output in network.run(*inputs)]


@pytest.mark.parametrize(("kind", "claimed"), [(ADD, 10), (MUL, 1), (NONE, 0)])
def test_a_delegate_runs_the_operators_it_claims_and_xnnpack_the_rest(
    delegate: Path, kind: int, claimed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        network = open_network(MOBILENET, 1, Acceleration(f"{delegate}:op={kind}"))
    assert f"{claimed} of 72 operators on libclaiming.so, {72 - claimed} on XNNPACK" in caplog.text
    assert (caplog.records[-1].levelno == logging.WARNING) == (claimed == 0)
    invocations = c_int.in_dll(CDLL(str(delegate)), "invocations")
    before = invocations.value
    (scores,) = outputs(network)
    assert invocations.value - before == claimed
    (expected,) = outputs(open_interpreter(MOBILENET))
    assert np.abs(scores.astype(int) - expected).max() <= 2  # the kernels of ADD round differently


@pytest.mark.parametrize("dynamic", [0, 1])
def test_the_input_of_a_delegated_network_can_be_resized(delegate: Path, dynamic: int) -> None:
    acceleration = Acceleration(f"{delegate}:dynamic={dynamic}")
    network = open_network(MOBILENET, acceleration=acceleration, shape=(3, 48, 48, 1))
    assert outputs(network)[0].shape == (3, 7) and "10 of 72 operators on libclaiming.so" in network.placement


def test_a_delegate_with_wrong_outputs_is_refused(delegate: Path) -> None:
    with pytest.raises(ModelError, match="differ from the CPU's"):
        open_network(MOBILENET, acceleration=Acceleration(f"{delegate}:wrong=1"))


def test_a_delegate_that_crashes_does_not_end_the_process(delegate: Path) -> None:
    with pytest.raises(ModelError, match="SIGABRT"):
        open_network(MOBILENET, acceleration=Acceleration(f"{delegate}:crash=1"))


def test_the_delegate_works_in_tflite_runtime(delegate: Path, tflite_python: Path) -> None:
    program = f"""
from fer_edge.edge.tflite.network import open_network
from fer_edge.edge.types import Acceleration
print(open_network({str(MOBILENET)!r}, 1, Acceleration({str(delegate)!r})).placement)
try:
    open_network({str(MOBILENET)!r}, 1, Acceleration(accelerator="gpu,cpu"))
except Exception as error:
    print(error)
"""
    done = subprocess.run([tflite_python, "-c", program], capture_output=True, text=True, check=True)
    delegated, refused = done.stdout.splitlines()
    assert delegated == "10 of 72 operators on libclaiming.so, 62 on the runtime's kernels"
    assert "pip install ai-edge-litert" in refused and "tflite-runtime" in refused


def test_a_library_that_cannot_be_used_is_one_line(delegate: Path, tmp_path: Path) -> None:
    other, text = tmp_path / "other.so", tmp_path / "text.so"
    elf = delegate.read_bytes()
    other.write_bytes(elf[:18] + (8).to_bytes(2, "little") + elf[20:])  # MIPS
    text.write_text("no library")
    math = CDLL("libm.so.6")._name
    specs = [f"{tmp_path}/absent.so", "absent.so", str(text), str(other), math, f"{delegate}:unknown=1", f"{delegate}:"]
    for spec in [*specs, ":key=value", f"{delegate}:op=0:op=1", ""]:
        with pytest.raises(ModelError, match="delegate") as caught:
            open_network(MOBILENET, acceleration=Acceleration(spec))
        assert "\n" not in str(caught.value)
        assert spec != str(other) or "MIPS" in str(caught.value)
    words = [sys.executable, "-m", "fer_edge.edge.cli", "predict", PICTURE, "--delegate", math]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


@given(
    st.text("abc./-", min_size=1).filter(lambda text: not text.startswith(".")),
    st.dictionaries(st.sampled_from(["a", "b_c", "_d", "e.f-g0"]), st.text("abc:,/;0-")),
    st.sampled_from(":,;"),
)
def test_a_delegate_is_parsed_into_what_it_was_made_of(library: str, options: dict[str, str], separator: str) -> None:
    text = library + "".join(
        f"{':' if index == 0 else separator}{key}={value}" for index, (key, value) in enumerate(options.items())
    )
    assert parse_delegate(text) == (library, options)


def test_accelerators_are_a_list_without_repetitions() -> None:
    assert parse_accelerators("gpu, CPU") == ["gpu", "cpu"]
    for text in ("", "tpu", "gpu,", "gpu,gpu", "gpu cpu"):
        with pytest.raises(ModelError, match="expected cpu, gpu, npu"):
            parse_accelerators(text)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_the_compiled_cpu_gives_the_interpreters_answers(path: Path) -> None:
    compiled, interpreter = open_network(path, 2, Acceleration(accelerator="cpu")), open_interpreter(path, 2)
    assert (compiled.inputs, compiled.outputs) == (interpreter.inputs, interpreter.outputs)
    assert np.array_equal(outputs(compiled), outputs(interpreter)) and deviation(compiled, interpreter) == 0
    resized = open_network(path, 1, Acceleration(accelerator="cpu"), shape=(2, *compiled.inputs[0].shape[1:]))
    assert outputs(resized)[0].shape == (2, 7)


@pytest.mark.slow
def test_without_a_device_an_accelerator_is_one_line_and_the_next_is_taken_if_asked_for() -> None:
    """No test machine has an NPU; a compiler plugin of LiteRT's without its device runs the CPU and says nothing."""
    words = [sys.executable, "-m", "fer_edge.edge.cli", "predict", str(PICTURE), "--accelerator"]
    done = subprocess.run([*words, "npu"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    done = subprocess.run([*words, "npu,cpu"], capture_output=True, text=True)
    assert done.returncode == 0 and "happy" in done.stdout
    fallbacks = [line for line in done.stderr.splitlines() if "falling back from npu" in line]
    placed = [line for line in done.stderr.splitlines() if re.search(r"\d+ operators on cpu", line)]
    assert len(fallbacks) == len(placed) > 3  # three models and the detector's networks
    assert len(done.stderr.splitlines()) == len(fallbacks) + len(placed)


def test_where_litert_crashes_the_interpreter_is_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its GPU's library, which it loads in any case, aborts on a Raspberry Pi 4."""
    monkeypatch.setattr("fer_edge.edge.tflite.probe._tried", set())
    monkeypatch.setattr("fer_edge.edge.tflite.probe._PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    network = open_network(MOBILENET, 1, Acceleration(accelerator="gpu,cpu"))
    assert isinstance(network, Interpreter) and caplog.text.count("SIGILL") == 2
    with pytest.raises(ModelError, match="SIGILL"):
        open_network(MOBILENET, 1, Acceleration(accelerator="gpu"))


SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
"""A Vulkan driver in software, which Debian's Chromium brings."""


@pytest.mark.browser
@pytest.mark.slow
def test_a_gpu_runs_all_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    if not SWIFTSHADER.exists() or not find_library("vulkan"):
        pytest.skip("no Vulkan, or no driver of Chromium's")
    monkeypatch.setenv("VK_ICD_FILENAMES", str(SWIFTSHADER))
    words = [sys.executable, "-m", "fer_edge.edge.cli", "predict", str(PICTURE), "--jsonl", "-", "--accelerator", "gpu"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # LiteRT writes on stdout too
    assert json.loads(line)["faces"][0]["emotion"] == "happy"
    lines = done.stderr.splitlines()  # of three models and the detector's networks
    assert len(lines) > 3 and all(re.search(r" (\d+) of \1 operators on gpu \(SwiftShader", line) for line in lines)


def test_delegate_and_accelerator_exclude_each_other(delegate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["predict", str(PICTURE), "--accelerator", "cpu"]
    result = CliRunner().invoke(main, [*words, "--delegate", str(delegate)])
    assert result.exit_code == 2 and "exclude each other" in result.stderr
    monkeypatch.setenv("FER_EDGE_PREDICT_DELEGATE", str(delegate))
    result = CliRunner().invoke(main, words, auto_envvar_prefix="FER_EDGE")
    assert result.exit_code == 0, result.output  # the command line goes before the environment


def test_the_operators_of_a_part_are_counted_back_to_its_inputs() -> None:
    """0 → a → 1 → b → 2 → d → 4, and 1 → c → 3 → d; a part covers b and c, which share an input."""
    graph = [
        Operator("A", (0,), (1,)),
        Operator("B", (1, 9), (2,)),
        Operator("C", (1,), (3,)),
        Operator("D", (2, 3), (4,)),
        Operator("DELEGATE", (1, 9), (2, 3)),
    ]
    assert count_covered(graph, parts_of(graph)) == 2
    assert count_covered(graph, []) == 0
