"""Where a network's time goes: each operator's share of an invocation.

TFLite's Python interpreter has no profiler, and XNNPACK would hide behind one operator in it. So the network is cut off
behind its first operator, its second and so on, and each piece timed: an operator takes what its piece takes longer
than the piece before. Pieces are called in turns, so that a slow drift falls on all of them alike. One operator's
figure is as rough as a clock; those of a kind, added up, are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.latency import noise, timed
from fer_edge.benchmarks.options import result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, identity, write
from fer_edge.edge.expression.ensemble import member_files
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter, runtime

CALLS = 5
"""Timed calls of a piece before it is the next one's turn, after one that is not timed."""

KINDS = ("pointwise convolution", "depthwise convolution", "other convolution", "swish and gates", "other")


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--threads", type=click.IntRange(1), default=1, help="Interpreter threads.")
@click.option("--rounds", type=click.IntRange(1), default=20, help=f"Turns of {CALLS} calls that each piece takes.")
@result_file
def layers(models: tuple[str, ...], threads: int, rounds: int, out: Path | None) -> None:
    """Measure which layers of MODELs (default: the three shipped networks) the time goes to."""
    specs = models or MODEL_NAMES
    several = [spec for spec in specs if len(member_files(spec)) > 1]
    if several:
        raise ResultError(f"{several[0]} is several networks; expected single ones, as {MODEL_NAMES[0]}")
    before = condition()
    rows = []
    for spec in specs:
        about = identity(spec)
        rows.append({**about, "threads": threads, **_measured(member_files(spec)[0], about["model"], threads, rounds)})
    path = write("layers", {"rounds": rounds, "before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        parts = ", ".join(f"{kind} {found['share']:.0%}" for kind, found in row["kinds"].items() if found["operators"])
        click.echo(f"{row['model']:28} {row['ms']:8.3f} ms: {parts}")
    click.echo(f"wrote {path}", err=True)


def _measured(path: Path, name: str, threads: int, rounds: int) -> dict[str, Any]:
    """A network's time in ms, by kind of operator and for each one."""
    content = path.read_bytes()
    described = list(operators(content))
    with TemporaryDirectory() as folder:
        pieces = []
        for count in range(1, len(described) + 1):
            piece = Path(folder) / f"{count}.tflite"
            piece.write_bytes(cut(content, count))
            pieces.append(open_interpreter(piece, threads))
            piece.unlink()
        times: list[list[float]] = [[] for _ in pieces]
        for _ in track(range(rounds), f"{name}, turns", rounds):
            for piece_times, interpreter in zip(times, pieces, strict=True):
                piece_times += _timed(interpreter)
    steps = np.diff([0.0, *(median(each) for each in times)])
    found = [{**each, "ms": round(float(step), 4)} for each, step in zip(described, steps, strict=True)]
    whole = float(steps.sum())
    return {
        "runtime": f"{runtime().name} {runtime().version}",
        "ms": round(whole, 4),
        "kinds": {kind: _together([each["ms"] for each in found if each["kind"] == kind], whole) for kind in KINDS},
        "layers": found,
    }


def _together(times: list[float], whole: float) -> dict[str, Any]:
    return {"operators": len(times), "ms": round(sum(times), 4), "share": round(sum(times) / whole, 4)}


def _timed(interpreter: Interpreter) -> list[float]:
    array = noise(interpreter.inputs[0])
    return timed(lambda: interpreter.run(array), 1 + CALLS)[1:]


def operators(content: bytes) -> Iterator[dict[str, Any]]:
    """The operators of a .tflite file in the order of execution: kind, TFLite's name, output's name and shape."""
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


def cut(content: bytes, count: int) -> bytes:
    """The .tflite file of a network's first operators alone; its output is that of the last of them."""
    import flatbuffers

    model = _schema().ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:count]
    graph.outputs = [graph.operators[-1].outputs[0]]
    needed = {graph.tensors[index].buffer for each in graph.operators for index in each.inputs if index >= 0}
    for index, buffer in enumerate(model.buffers):
        if index not in needed:
            buffer.data = None
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _schema() -> Any:
    """The classes of TFLite's files, as LiteRT's package has them."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise ResultError("networks are cut with LiteRT's package; run pip install ai-edge-litert") from None
    return schema
