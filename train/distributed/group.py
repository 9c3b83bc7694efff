"""The processes that train together: their devices, and what process 0 tells the others."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.device.environment import TENSORFLOW, set_environment_defaults
from fer_edge.edge.errors import ConfigError, DataError, shortened
from fer_edge.edge.terminal import configure_logging
from fer_edge.train.distributed.options import Launch
from fer_edge.train.distributed.supervisor import lost, report_connected

CONNECT_TIMEOUT = 300
"""Seconds that a process waits at its start for the others."""

HEARTBEAT_TIMEOUT = 20
"""Seconds without a heartbeat after which JAX's coordination service gives a process up and ends the others."""

BLOCK = 4096
"""Bytes in whose multiples texts are passed on, so that few sizes are compiled."""

CONNECTION_ERRORS = "(?i)gloo|nccl|UNAVAILABLE|DEADLINE_EXCEEDED|closed by peer|reset by peer|coordination service"
"""What JAX's error says where a collective fails, as one of the processes is gone."""

VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ProcessGroup:
    """The processes that train together, as one of them sees them.

    Attributes:
        processes: How many there are.
        process: Which of them this is. The first alone validates, logs and writes.
        mesh: JAX's mesh of all devices, by process, along its axis 'batch'; None for a training as Keras does it.
    """

    processes: int = 1
    process: int = 0
    mesh: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, logs and writes."""
        return self.process == 0

    def share(self, rows: int) -> slice:
        """The rows of a batch of so many that this process makes.

        Raises:
            DataError: The devices cannot share them equally.
        """
        devices = self.mesh.size if self.mesh else 1
        if rows % devices:
            lower, upper = rows // devices * devices, (rows // devices + 1) * devices
            sizes = f"{lower} or {upper}" if lower else str(upper)
            raise DataError(
                f"{devices} devices cannot share a batch of {rows} pictures equally; pass --batch-size {sizes}, with "
                "no more pictures than the train split has, or another number of devices (--devices)"
            )
        part = rows // self.processes
        return slice(self.process * part, (self.process + 1) * part)


ALONE = ProcessGroup()
"""A training that is not distributed."""


def choose_backend() -> None:
    """Choose JAX for Keras where nothing is chosen; ConfigError or ModuleNotFoundError where it cannot be."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen not in (None, "", "jax"):
        raise ConfigError(
            f"KERAS_BACKEND = {shortened(chosen)}; --distributed needs jax: set KERAS_BACKEND=jax or unset it"
        )
    if find_spec("jax") is None:
        raise ModuleNotFoundError("No module named 'jax'", name="jax")
    os.environ["KERAS_BACKEND"] = "jax"
    set_environment_defaults(TENSORFLOW)  # Keras imports it, where it is installed, with every backend
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras' advice against .h5 files


@contextmanager
def open_group(launch: Launch | None) -> Iterator[ProcessGroup]:
    """Start JAX on the devices of a launch, together with the other processes.

    Args:
        launch: What this process is to do; None for a training that is not distributed.

    Yields:
        The group.

    Raises:
        ConfigError: The devices are not there, or the other processes do not come.
        TrainingError: Inside the block, another process was lost.
    """
    if launch is None:
        yield ALONE
        return
    import jax

    from fer_edge.train.backend import keras

    if keras.backend.backend() != "jax":
        raise ConfigError(f"Keras runs on {keras.backend.backend()}; --distributed needs KERAS_BACKEND=jax")
    if launch.processes > 1:
        _connect(launch)
    mesh = _mesh(launch)
    hosts = f", {launch.processes} processes" if launch.processes > 1 else ""
    _logger.info(f"distributed training with JAX on {mesh.size} {mesh.devices[0].device_kind} devices{hosts}")
    if launch.process:
        configure_logging(logging.ERROR)
    try:
        group = ProcessGroup(launch.processes, launch.process, mesh)
        yield group
        from_first(group, "the end")
    except (RuntimeError, ValueError) as error:  # JAX raises both for a collective that fails
        if launch.processes == 1 or not re.search(CONNECTION_ERRORS, str(error)):
            raise
        raise lost(launch.process, launch.processes, re.sub(r"\[external/\S+\] ", "", str(error))) from error
    if launch.processes > 1:
        jax.distributed.shutdown()


def _connect(launch: Launch) -> None:
    """Join the other processes; ConfigError where that fails."""
    import jax

    _logger.info(
        f"process {launch.process} of {launch.processes}, coordinator {launch.coordinator}: waiting up to "
        f"{CONNECT_TIMEOUT} s for the others"
    )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            launch.coordinator,
            launch.processes,
            launch.process,
            local_device_ids=_own_gpus(launch),
            cluster_detection_method="deactivate",
            initialization_timeout=CONNECT_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        )
        report_connected()
    except RuntimeError as error:
        what = "listening" if launch.process == 0 else "connecting"
        raise ConfigError(
            f"process {launch.process} of {launch.processes}, {what} at {launch.coordinator}: "
            f"{shortened(error, 200)}; start every process once, with the same --coordinator, whose port is free"
        ) from None


def _own_gpus(launch: Launch) -> list[int] | None:
    """The GPUs of one of several processes that a launcher started on this host; None for all that it sees."""
    bound = any("," not in os.environ[name] for name in VISIBLE if os.environ.get(name))
    if launch.local is None or bound:
        return None
    count = launch.devices or 1
    return [launch.local * count + index for index in range(count)]


def _mesh(launch: Launch) -> Any:
    """The mesh of all processes' devices; ConfigError where a process has fewer than it should."""
    import jax

    if launch.devices and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        try:
            jax.config.update("jax_num_cpu_devices", launch.devices)
        except RuntimeError:  # JAX runs already
            _logger.debug("JAX has its devices already")
    chosen: list[Any] = []
    counts = []
    for process in range(launch.processes):
        own = sorted((each for each in jax.devices() if each.process_index == process), key=lambda each: each.id)
        counts.append(len(own))
        chosen += own[: launch.devices]
    if launch.devices and min(counts) < launch.devices:
        raise ConfigError(
            f"--devices {launch.devices}, but process {counts.index(min(counts))} sees {min(counts)} "
            f"({chosen[0].device_kind}); pass no more, or leave --devices out for all"
        )
    if len(set(counts)) > 1:
        raise ConfigError(
            f"the processes see different numbers of devices ({', '.join(map(str, counts))}); start them where each "
            "sees as many, or hide some with CUDA_VISIBLE_DEVICES"
        )
    return jax.sharding.Mesh(np.array(chosen), ("batch",))


def from_first(group: ProcessGroup, value: Any) -> Any:
    """What process 0 has, in every process, which waits for it: plain values, as JSON has them and infinity."""
    if group.processes == 1:
        return value
    content = json.dumps(value).encode() if group.first else b""
    (size,) = arrays_from_first(group, [np.array([len(content)], np.int32)])
    padded = np.zeros(-(-int(size[0]) // BLOCK) * BLOCK, np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    (received,) = arrays_from_first(group, [padded])
    return json.loads(received[: int(size[0])].tobytes())


@contextmanager
def first_before_others(group: ProcessGroup) -> Iterator[None]:
    """Process 0 runs the block alone, then the others: they find what it leaves in a cache."""
    if not group.first:
        from_first(group, None)
    yield
    if group.first:
        from_first(group, None)


def arrays_from_first(group: ProcessGroup, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Process 0's arrays in every process; the others give arrays of the same shapes and types."""
    if group.processes == 1:
        return list(arrays)
    from jax.experimental import multihost_utils

    return [np.asarray(each) for each in multihost_utils.broadcast_one_to_all(list(arrays))]


def check_agreement(group: ProcessGroup, about: dict[str, Any]) -> None:
    """Check that every process trains the same on the same data.

    Args:
        group: The processes.
        about: What must be the same, as plain values by name.

    Raises:
        DataError: In this process something differs from process 0.
    """
    own = json.loads(json.dumps(about))
    expected = from_first(group, own)
    different = [key for key in own if own[key] != expected.get(key)]
    if different:
        raise DataError(
            f"process {group.process} differs from process 0 in {', '.join(different)}; start all with the same "
            "options and data"
        )
