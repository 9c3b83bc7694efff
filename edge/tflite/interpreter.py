"""The TFLite interpreter, whichever is installed: LiteRT first, tflite-runtime second."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import F_SETFL, fcntl
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError

RUNTIMES = (
    ("LiteRT", "ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite-runtime", "tflite_runtime.interpreter", "tflite-runtime"),
)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model's graph; real = (integer - zero_point) * scale.

    Attributes:
        name: The tensor's name in the file.
        index: Its number in the graph.
        shape: Its shape; inputs and outputs have the batch size 1 in front.
        dtype: Its dtype.
        scale: The real value of one integer step; 0 for float tensors and for weights quantized per channel.
        zero_point: The integer that stands for 0.
        scales: One scale per channel for weights quantized per channel, else the one scale; empty for float tensors.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int
    scales: tuple[float, ...] = ()


@dataclass(frozen=True)
class Operator:
    """An operator of a model's graph: its TFLite name, and the indices of the tensors that it reads and writes."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Runtime:
    """An installed TFLite runtime: its name, its package on PyPI, and its interpreter module."""

    name: str
    package: str
    module: Any

    @cached_property
    def version(self) -> str:
        """The package's version; looked up when it is asked for: importlib.metadata is slow to import."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(self.package)
        except PackageNotFoundError:
            return "unknown"

    @property
    def xnnpack(self) -> bool:
        """Whether this runtime runs int8 models through XNNPACK; tflite-runtime's wheels do for float only."""
        return self.name == "LiteRT"


NOTICES = (b"INFO:", b"WARNING:", b"ERROR:", b"I0000", b"W0000", b"E0000")
"""How the runtime's own lines begin, by TFLite's logger and by Abseil's."""


@cache
def runtime() -> Runtime:
    """The runtime in use; ModelError where neither can be imported."""
    reasons = []
    for name, module, package in RUNTIMES:
        try:
            loaded = import_module(module)
        except (ImportError, AttributeError) as error:  # numpy 2 under tflite-runtime ends as AttributeError
            if not isinstance(error, ModuleNotFoundError):
                reasons.append(f"{package} does not load: {str(error).splitlines()[0]}")
            continue
        return Runtime(name, package, loaded)
    why = "; ".join(reasons) or "neither ai-edge-litert nor tflite-runtime is installed"
    raise ModelError(f"no TFLite runtime: {why}; run pip install ai-edge-litert")


class Interpreter:
    """One loaded model with its tensors allocated; not to be shared between threads."""

    def __init__(self, path: Path, threads: int, xnnpack: bool, shape: tuple[int, ...] | None = None) -> None:
        self.runtime = runtime()
        self.path = path
        self.threads = threads
        options: dict[str, Any] = {"model_content": _read(path), "num_threads": threads}
        if not xnnpack:
            resolver = self.runtime.module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            options["experimental_op_resolver_type"] = resolver
        try:
            with _quiet_stderr():
                self._interpreter = self.runtime.module.Interpreter(**options)
                if shape is not None:
                    (first,) = self._interpreter.get_input_details()
                    self._interpreter.resize_tensor_input(first["index"], shape)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            what = str(error).strip().splitlines()[0] if str(error).strip() else "it is damaged"
            raise ModelError(
                f"{path} cannot be loaded by {self.runtime.name}: {what}; expected a .tflite file"
            ) from None
        self.xnnpack = xnnpack and self._delegated()
        self.inputs = tuple(_tensor(detail) for detail in self._interpreter.get_input_details())
        self.outputs = tuple(_tensor(detail) for detail in self._interpreter.get_output_details())
        # views of the interpreter's own memory: no copy in, one copy out
        self._in = [self._interpreter.tensor(tensor.index) for tensor in self.inputs]
        self._out = [self._interpreter.tensor(tensor.index) for tensor in self.outputs]

    def run(self, *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Arrays of the inputs' shapes and dtypes to copies of the outputs."""
        for view, array in zip(self._in, arrays, strict=True):
            view()[...] = array
        self._interpreter.invoke()
        return tuple(view().copy() for view in self._out)

    def tensors(self) -> dict[int, Tensor]:
        """Every tensor of the graph by its index."""
        return {detail["index"]: _tensor(detail) for detail in self._interpreter.get_tensor_details()}

    def operators(self) -> list[Operator]:
        """The graph's operators in the order in which the runtime executes them; DELEGATE is XNNPACK's part."""
        return [
            Operator(str(detail["op_name"]), tuple(map(int, detail["inputs"])), tuple(map(int, detail["outputs"])))
            for detail in self._interpreter._get_ops_details()
        ]

    def _delegated(self) -> bool:
        try:
            return any(operator.name == "DELEGATE" for operator in self.operators())
        except (AttributeError, KeyError):
            return self.runtime.xnnpack

    @property
    def description(self) -> str:
        """Runtime, version, threads and whether XNNPACK runs the model, in a few words."""
        how = "with XNNPACK" if self.xnnpack else "without XNNPACK"
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        return f"{self.runtime.name} {self.runtime.version}, {threads}, {how}"


def open_interpreter(
    path: Path | str, threads: int = 1, *, xnnpack: bool = True, shape: tuple[int, ...] | None = None
) -> Interpreter:
    """Load a .tflite file; ModelError where it is missing or damaged. shape: of its one input, where not the file's."""
    return Interpreter(Path(path), threads, xnnpack, shape)


_OPENING = Lock()
"""One model opens at a time: stderr has one place to come back to."""


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep the runtime's own notices ("Created XNNPACK delegate") off stderr; its errors come as exceptions too.

    They are written by C++ to the file descriptor, out of sys.stderr's reach. What other threads write there meanwhile
    comes a moment later; where their write was under way when stderr came back, the next time or at the end.
    """
    with _OPENING:
        aside = _aside()
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(aside.file, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            aside.pass_on(whole_lines=True)


class _Aside:
    """A file in memory for what is written to stderr while a model opens."""

    def __init__(self) -> None:
        self.file = os.memfd_create("stderr")
        # such a file's position has no lock: writers at once would share a place
        fcntl(self.file, F_SETFL, os.O_APPEND)
        self._passed = 0

    def pass_on(self, whole_lines: bool = False) -> None:
        """Write what has come since the last time to stderr, without the runtime's notices.

        whole_lines: a last line that has no end yet waits for it; the kernel may be in the middle of writing it.
        """
        written = os.pread(self.file, os.fstat(self.file).st_size - self._passed, self._passed)
        if whole_lines:
            written = written[: written.rfind(b"\n") + 1]
        self._passed += len(written)
        for line in written.splitlines(keepends=True):
            if not line.startswith(NOTICES):
                os.write(2, line)  # a line at a time: a pipe takes it whole, whoever else writes


@cache
def _aside() -> _Aside:
    aside = _Aside()
    atexit.register(aside.pass_on)
    return aside


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; expected a .tflite file") from None
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path} is no TFLite model (its identifier is {content[4:8]!r}, expected b'TFL3')")
    return content


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    return Tensor(
        name=str(detail["name"]),
        index=int(detail["index"]),
        shape=tuple(int(side) for side in detail["shape"]),
        dtype=np.dtype(detail["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
        scales=tuple(float(each) for each in detail["quantization_parameters"]["scales"]),
    )
