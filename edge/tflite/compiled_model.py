"""Networks on LiteRT's accelerators, through its CompiledModel: the CPU, a GPU by WebGPU, or a vendor's NPU."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.interpreter import Tensor, runtime, tensor_from
from fer_edge.edge.tflite.mapped_file import check_model, unchanging
from fer_edge.edge.tflite.stderr_filter import filter_notices, silence_exit

log = logging.getLogger(__name__)

ACCELERATORS = ("cpu", "gpu", "npu")

_ADAPTER = re.compile(r"Selected adapter: (.+?), arch=.*adapterType=(.+)")
_PREFIX = re.compile(r"^\W*(?:ERROR|WARNING): (?:\[[^]]*\]\s*)?")


def parse_accelerators(text: str) -> list[str]:
    """Split a comma-separated list of accelerators.

    Args:
        text: Such as "gpu,cpu".

    Returns:
        The names in order of preference, at least one.

    Raises:
        ModelError: A name is unknown or comes twice.
    """
    names = [name.strip().lower() for name in text.split(",")]
    if set(names) - {*ACCELERATORS} or len({*names}) < len(names):
        raise ModelError(f"--accelerator {text}: expected {', '.join(ACCELERATORS)}, or a list such as gpu,cpu")
    return names


class CompiledNetwork:
    """A network that LiteRT compiled for one accelerator, which runs all of it; not to be shared between threads.

    Attributes:
        path: The .tflite file.
        threads: Threads on the CPU.
        accelerator: One of ACCELERATORS.
        device: The device's name as LiteRT logs it; "" where it does not.
        inputs: The input tensors.
        outputs: The output tensors.
    """

    def __init__(self, path: Path, threads: int, accelerator: str, shape: tuple[int, ...] | None = None) -> None:
        self.path, self.threads, self.accelerator = path, threads, accelerator
        api, environment = require_litert(), _environment()
        check_model(path)
        cpu_options = api.CpuOptions(num_threads=threads)
        options = api.Options(api.HardwareAccelerator[accelerator.upper()], cpu_options)
        notices: list[str] = []
        try:
            with unchanging(path) as mapped, filter_notices(notices), _stdout_aside(accelerator):
                details = runtime().module.Interpreter(model_path=str(mapped))
                self._total = len(details._get_ops_details())
                # one accelerator at a time: LiteRT does not tell how much of a graph runs on which of several
                self._model = api.CompiledModel.from_file(str(mapped), environment=environment, options=options)
                if shape is not None:
                    self._model.resize_input_tensor(0, shape, strict=False)
                key = next(iter(self._model.get_signature_list()))
                inputs, outputs = self._model.get_input_tensor_details(key), self._model.get_output_tensor_details(key)
                self.inputs, self._in = _in_order(
                    details.get_input_details(), inputs, self._model.create_input_buffers(0)
                )
                self.outputs, self._out = _in_order(
                    details.get_output_details(), outputs, self._model.create_output_buffers(0)
                )
                self._host = [np.zeros(tensor.shape, tensor.dtype) for tensor in self.inputs]
                self._run(self._host)  # LiteRT opens the rest of what it needs, with more notices
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{path.name} cannot run on {accelerator}: {_reason(error, notices)}") from None
        finally:
            for notice in notices:
                log.debug("LiteRT: %s", notice)
        adapters = [match for notice in notices if (match := _ADAPTER.search(notice))]
        name = f"{adapters[0][1]}, {adapters[0][2]}" if adapters else ""
        self.device = _DEVICES.setdefault(accelerator, name)

    def run(self, *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run the network once.

        Args:
            *arrays: One array per input, of its dtype and of its shape or one that is broadcast to it.

        Returns:
            A copy of each output.

        Raises:
            ModelError: The device is lost.
        """
        try:
            return self._run(arrays)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{self.path.name} cannot be run on {self.accelerator}: {reason}") from None

    def _run(self, arrays: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        for host, buffer, array in zip(self._host, self._in, arrays, strict=True):
            host[...] = array
            buffer.write(host)
        self._model.run_by_index(0, self._in, self._out)
        return tuple(
            buffer.read(int(np.prod(tensor.shape)), tensor.dtype).reshape(tensor.shape)
            for tensor, buffer in zip(self.outputs, self._out, strict=True)
        )

    @property
    def placement(self) -> str:
        """How many of the operators run on the accelerator: always all of them."""
        device = f" ({self.device})" if self.device else ""
        return f"{self._total} of {self._total} operators on {self.accelerator}{device}"

    @property
    def description(self) -> str:
        """Runtime, version, threads on the CPU, and the accelerator."""
        threads = f", {self.threads} thread{'s' if self.threads != 1 else ''}" if self.accelerator == "cpu" else ""
        return f"{runtime().name} {runtime().version} CompiledModel{threads}, {self.placement}"


_DEVICES: dict[str, str] = {}
"""The device of each accelerator, which LiteRT logs when the process first uses it; "" where it does not."""


@contextmanager
def _stdout_aside(accelerator: str) -> Iterator[None]:
    """Send stdout to stderr while the process first uses a GPU: LiteRT then prints that there is no OpenCL."""
    if accelerator != "gpu" or accelerator in _DEVICES:
        yield
        return
    sys.stdout.flush()
    original = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(original, 1)
        os.close(original)


def require_litert() -> Any:
    """LiteRT's module of compiled models. Raises ModelError where LiteRT is not installed."""
    try:
        from ai_edge_litert import compiled_model
    except ImportError:
        installed = f"{runtime().name} {runtime().version}"
        raise ModelError(f"{installed} has no accelerators; run pip install ai-edge-litert") from None
    return compiled_model


@cache
def _environment() -> Any:
    """The process's environment for compiled models, which loads the libraries of all accelerators."""
    from ai_edge_litert.environment import Environment

    silence_exit()
    with filter_notices([]):
        return Environment.create()


def _in_order(
    wanted: list[dict[str, Any]], compiled: dict[str, dict[str, Any]], buffers: list[Any]
) -> tuple[tuple[Tensor, ...], list[Any]]:
    """The file's tensors with their compiled shapes, and their buffers, which come in the order of the signature."""
    position = {detail["index"]: (order, detail["shape"]) for order, detail in enumerate(compiled.values())}
    tensors = tuple(tensor_from({**each, "shape": position[each["index"]][1]}) for each in wanted)
    return tensors, [buffers[position[each["index"]][0]] for each in wanted]


def _reason(error: Exception, notices: list[str]) -> str:
    """Why an accelerator does not run a network: from LiteRT's log, or else from its exception."""
    errors = [_PREFIX.sub("", notice) for notice in notices if notice.startswith("ERROR:")]
    lines = [_PREFIX.sub("", line).strip(" └") for line in str(error).splitlines()]
    reason = next((line for line in [*errors, *reversed(lines)] if line), "LiteRT gives no reason")
    return "it does not run all of its operators, or has no device" if "not accelerated" in reason else reason
