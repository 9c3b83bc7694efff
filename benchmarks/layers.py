"""Time per kind of layer: each operator's share of an invocation.

TFLite's Python interpreter has no profiler, and would show everything that XNNPACK runs as one operator. So the network
is truncated after its first operator, its second and so on, and each truncated network is timed: an operator takes the
difference to the one before. They are called in turns, so that slow drift affects all of them alike. The time of a
single operator is imprecise; the sum over a kind of operators is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.latency import noise
from fer_edge.benchmarks.options import one_thread, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, default_models, identity, write
from fer_edge.benchmarks.timing import timed
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.ensemble import member_files
from fer_edge.edge.expression.model_spec import ENSEMBLE_NAME, MODEL_NAMES
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter, runtime

CALLS = 5
"""Timed calls of a truncated network in each round, after one for warm-up."""

KINDS = ("pointwise convolution", "depthwise convolution", "other convolution", "swish and gates", "other")


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@one_thread
@click.option("--rounds", type=IntRange(1), default=20, metavar="N", help=f"Rounds of {CALLS} calls of each operator.")
@result_file
def layers(models: tuple[str, ...], pipeline_options: PipelineOptions, rounds: int, out: Path | None) -> None:
    """Measure how the time of one invocation of MODELs (default: the shipped networks) is divided among its layers."""
    specs = models or [spec for spec in default_models() if spec != ENSEMBLE_NAME]
    threads = pipeline_options.threads
    several = [spec for spec in specs if len(member_files(spec)) > 1]
    if several:
        raise ResultError(f"{several[0]} is several networks; expected single ones, such as {MODEL_NAMES[0]}")
    before = condition()
    rows = []
    for spec in specs:
        described = identity(spec)
        figures = _measure(member_files(spec)[0], described["model"], threads, rounds)
        rows.append({**described, "threads": threads, **figures})
    path = write("layers", {"rounds": rounds, "before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        parts = ", ".join(f"{kind} {each['share']:.0%}" for kind, each in row["kinds"].items() if each["operators"])
        click.echo(f"{row['model']:28} {row['ms']:8.3f} ms: {parts}")
    click.echo(f"wrote {path}", err=True)


def _measure(path: Path, name: str, threads: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of one invocation of a network, by kind of operator and per operator."""
    open_interpreter(path)  # in a trial first: it refuses a file that would crash this process
    content = path.read_bytes()
    described = list(operators(content))
    interpreters = _open_truncated(content, len(described), threads)
    times: list[list[float]] = [[] for _ in interpreters]
    for _ in track(range(rounds), f"{name}, rounds", rounds):
        for milliseconds, interpreter in zip(times, interpreters, strict=True):
            milliseconds += _timed(interpreter)
    steps = np.diff([0.0, *(median(each) for each in times)])
    layers = [{**each, "ms": round(float(step), 4)} for each, step in zip(described, steps, strict=True)]
    total = float(steps.sum())
    return {
        "runtime": f"{runtime().name} {runtime().version}",
        "ms": round(total, 4),
        "kinds": {kind: _sum([each["ms"] for each in layers if each["kind"] == kind], total) for kind in KINDS},
        "layers": layers,
    }


def _open_truncated(content: bytes, count: int, threads: int) -> list[Interpreter]:
    """The network's first operator, its first two, and so on to all of them."""
    interpreters = []
    with TemporaryDirectory() as folder:
        for length in range(1, count + 1):
            path = Path(folder) / f"{length}.tflite"
            path.write_bytes(truncate(content, length))
            interpreters.append(Interpreter(path, threads, xnnpack=True))
            path.unlink()
    return interpreters


def _sum(times: list[float], total: float) -> dict[str, Any]:
    return {"operators": len(times), "ms": round(sum(times), 4), "share": round(sum(times) / total, 4)}


def _timed(interpreter: Interpreter) -> list[float]:
    array = noise(interpreter.inputs[0])
    return timed(lambda: interpreter.run(array), 1 + CALLS)[1:]


def operators(content: bytes) -> Iterator[dict[str, Any]]:
    """The operators of a .tflite file in the order of execution.

    Args:
        content: The file's bytes.

    Yields:
        "kind", one of KINDS; "operator", TFLite's name; "output" and "shape" of the output tensor.

    Raises:
        ResultError: LiteRT's package, which has the file format, is not installed.
    """
    schema = _schema()
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        output = graph.tensors[operator.outputs[0]]
        kernel = tuple(graph.tensors[operator.inputs[1]].shape[1:3]) if name == "CONV_2D" else ()
        yield {
            "kind": _kind(name, kernel),
            "operator": name,
            "output": output.name.decode(),
            "shape": [int(side) for side in output.shape],
        }


def _kind(name: str, kernel: tuple[int, ...]) -> str:
    if name == "CONV_2D":
        return "pointwise convolution" if kernel == (1, 1) else "other convolution"
    kinds = {"DEPTHWISE_CONV_2D": "depthwise convolution", "LOGISTIC": "swish and gates", "MUL": "swish and gates"}
    return kinds.get(name, "other")


def truncate(content: bytes, count: int) -> bytes:
    """Keep only the first operators of a network.

    Args:
        content: The bytes of a .tflite file.
        count: Operators to keep.

    Returns:
        The bytes of a .tflite file whose output is that of the last operator.

    Raises:
        ResultError: LiteRT's package, which has the file format, is not installed.
    """
    import flatbuffers

    model = _schema().ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:count]
    graph.outputs = [graph.operators[-1].outputs[0]]
    used = {graph.tensors[index].buffer for each in graph.operators for index in each.inputs if index >= 0}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _schema() -> Any:
    """The classes of TFLite's file format, from LiteRT's package."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise ResultError("truncating a network needs LiteRT's package; run pip install ai-edge-litert") from None
    return schema
