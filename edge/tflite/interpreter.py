"""The TFLite interpreter of the installed runtime: LiteRT or, where that is missing, tflite-runtime."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.card import sha256
from fer_edge.edge.tflite.mapped_file import check_model, release_pages, unchanging
from fer_edge.edge.tflite.operators import DELEGATE, Operator, count_covered, parts_of
from fer_edge.edge.tflite.stderr_filter import filter_notices
from fer_edge.models import SHIPPED

if TYPE_CHECKING:
    from fer_edge.edge.tflite.delegate import Delegate

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
class Runtime:
    """An installed TFLite runtime.

    Attributes:
        name: Its name.
        package: Its package on PyPI.
        module: Its interpreter module.
    """

    name: str
    package: str
    module: Any

    @cached_property
    def version(self) -> str:
        """The package's version: as the module has it, else from its metadata, whose import takes 30 ms."""
        own = getattr(sys.modules.get(self.module.__name__.partition(".")[0]), "__version__", None)
        if own:
            return str(own)
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(self.package)
        except PackageNotFoundError:
            return "unknown"

    @property
    def xnnpack(self) -> bool:
        """Whether this runtime runs int8 models through XNNPACK; tflite-runtime's wheels do for float only."""
        return self.name == "LiteRT"


@cache
def runtime() -> Runtime:
    """Import the first of the installed runtimes that loads.

    Returns:
        The runtime, the same for the whole process.

    Raises:
        ModelError: None is installed, or none loads.
    """
    reasons = []
    for name, module_name, package in RUNTIMES:
        try:
            return Runtime(name, package, import_module(module_name))
        except (ImportError, AttributeError) as error:  # numpy 2 under tflite-runtime ends as AttributeError
            if not isinstance(error, ModuleNotFoundError):
                reasons.append(f"{package} does not load: {str(error).splitlines()[0]}")
    why = "; ".join(reasons) or "neither ai-edge-litert nor tflite-runtime is installed"
    raise ModelError(f"no TFLite runtime: {why}; run pip install ai-edge-litert")


class Interpreter:
    """A loaded model with its tensors allocated; not to be shared between threads.

    Attributes:
        runtime: The TFLite runtime.
        path: The .tflite file.
        threads: Threads of the interpreter.
        xnnpack: Whether XNNPACK runs the model, or what an external delegate leaves of it.
        delegate: The external delegate's name; None where there is none.
        delegated: Number of operators that the external delegate runs.
        inputs: The input tensors.
        outputs: The output tensors.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        xnnpack: bool,
        shape: tuple[int, ...] | None = None,
        delegate: Delegate | None = None,
    ) -> None:
        self.runtime = runtime()
        self.path = path
        self.threads = threads
        self.delegate = delegate.name if delegate else None
        self.delegated = 0
        own_parts = 0
        check_model(path)
        options: dict[str, Any] = {"num_threads": threads}
        if not xnnpack:
            resolver = self.runtime.module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            options["experimental_op_resolver_type"] = resolver
        try:
            with filter_notices(), unchanging(path) as mapped:
                self._interpreter = self.runtime.module.Interpreter(model_path=str(mapped), **options)
                if shape is not None:
                    (first,) = self._interpreter.get_input_details()
                    self._interpreter.resize_tensor_input(first["index"], shape)
                if delegate is not None:
                    delegate.apply(self._interpreter)
                    own_parts = len(parts_of(self.operators()))
                # XNNPACK joins here, and takes what the delegate has left
                self._interpreter.allocate_tensors()
                in_memory = mapped.resolve()  # a copy's name, which is gone later
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is damaged"
            using = f" with {delegate.name}" if delegate else ""
            # a vendor's compiler makes custom operators of what its hardware runs
            expected = "give its --delegate" if "custom op" in reason else "expected a .tflite file"
            raise ModelError(
                f"{path} cannot be loaded by {self.runtime.name}{using}: {reason.rstrip('.')}; {expected}"
            ) from None
        try:
            operators = self.operators()
            parts = parts_of(operators)
            self.delegated = count_covered(operators, parts[:own_parts])
            self.xnnpack = xnnpack and len(parts) > own_parts
        except (AttributeError, KeyError):  # what lists them is no public interface
            self.xnnpack = xnnpack and self.runtime.xnnpack
        self.inputs = tuple(tensor_from(detail) for detail in self._interpreter.get_input_details())
        self.outputs = tuple(tensor_from(detail) for detail in self._interpreter.get_output_details())
        # views of the interpreter's own memory: no copy in, one copy out
        self._in = [self._interpreter.tensor(tensor.index) for tensor in self.inputs]
        self._out = [self._interpreter.tensor(tensor.index) for tensor in self.outputs]
        release_pages(in_memory)

    def run(self, *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run the model once.

        Args:
            *arrays: One array per input, of its dtype and of its shape or one that is broadcast to it.

        Returns:
            A copy of each output.
        """
        for view, array in zip(self._in, arrays, strict=True):
            view()[...] = array
        try:
            self._interpreter.invoke()
        except RuntimeError as error:  # a device was lost
            raise ModelError(f"{self.path.name} cannot be run: {' '.join(str(error).split())}") from None
        return tuple(view().copy() for view in self._out)

    def tensors(self) -> dict[int, Tensor]:
        """List the tensors of the graph, by their index."""
        return {detail["index"]: tensor_from(detail) for detail in self._interpreter.get_tensor_details()}

    def value(self, index: int) -> NDArray[Any] | None:
        """A copy of a tensor's value, such as a weight that the file stores; None where it has none yet."""
        try:
            value: NDArray[Any] = self._interpreter.get_tensor(index)
        except ValueError:  # the runtime's "Tensor data is null"
            return None
        return value

    def operators(self) -> list[Operator]:
        """List the operators in the file's order, then a DELEGATE for each part of them that a delegate runs."""
        return [
            Operator(str(detail["op_name"]), tuple(map(int, detail["inputs"])), tuple(map(int, detail["outputs"])))
            for detail in self._interpreter._get_ops_details()
        ]

    @property
    def description(self) -> str:
        """Runtime, version, threads and what runs the model's operators, in a few words."""
        xnnpack = "with XNNPACK" if self.xnnpack else "without XNNPACK"
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        placement = self.placement if self.delegate else xnnpack
        return f"{self.runtime.name} {self.runtime.version}, {threads}, {placement}"

    @property
    def placement(self) -> str:
        """How many of the model's operators each delegate runs, and the runtime's own kernels, in a few words."""
        operators = self.operators()
        total = sum(operator.name != DELEGATE for operator in operators)
        xnnpack = count_covered(operators, parts_of(operators)) - self.delegated
        counts = {self.delegate or "": self.delegated, "XNNPACK": xnnpack}
        counts["the runtime's kernels"] = total - sum(counts.values())
        first, *others = [(name, count) for name, count in counts.items() if name == self.delegate or (name and count)]
        rest = "".join(f", {count} on {name}" for name, count in others)
        return f"{first[1]} of {total} operators on {first[0]}{rest}"


def open_interpreter(
    path: Path | str,
    threads: int = 1,
    *,
    xnnpack: bool = True,
    shape: tuple[int, ...] | None = None,
    delegate: str | None = None,
    digest: str | None = None,
) -> Interpreter:
    """Load a .tflite file, one that does not come with fer-edge after a trial in a process of its own.

    Args:
        path: The file.
        threads: Threads of the interpreter.
        xnnpack: Whether XNNPACK may run the model; without it the graph is executed as it is stored.
        shape: Shape of the model's only input; None for the one in the file.
        delegate: An external delegate, LIBRARY[:key=value…], which goes before XNNPACK; there is no trial with it.
        digest: The file's sha256 where the caller has it; computed where None.

    Returns:
        The interpreter, ready to run.

    Raises:
        ModelError: No runtime is installed, the file is missing or damaged, or the delegate cannot be used.
    """
    path = Path(path)
    if delegate is None:
        check_model(path)
        if (digest or sha256(path)) not in SHIPPED:
            from fer_edge.edge.tflite.probe import probe  # here: most runs need none

            probe(path, digest=digest)
        return Interpreter(path, threads, xnnpack, shape)
    from fer_edge.edge.tflite.delegate import load_delegate  # here: most runs have none

    return Interpreter(path, threads, xnnpack, shape, load_delegate(delegate, runtime().module))


def tensor_from(detail: dict[str, Any]) -> Tensor:
    """A tensor from the runtime's description of it."""
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
