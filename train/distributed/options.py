"""Which devices and processes train: from the options, or from what SLURM and torchrun put into the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fer_edge.edge.errors import ConfigError, shortened
from fer_edge.edge.types import option

FIRST_PORT, PORTS = 61440, 4096
"""Ports among which a SLURM step takes its own, by its job's number."""

TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
SLURM = ("SLURM_STEP_NODELIST", "SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID")


@dataclass(frozen=True)
class DistributionOptions:
    """Whether a training is shared by several devices, and by which processes.

    Attributes:
        distributed: Whether it is.
        devices: Devices that each process uses.
        coordinator: Address of process 0, HOST:PORT.
        processes: Number of processes.
        process_id: Which of them this one is, from 0.
    """

    distributed: bool = option(
        False,
        "Share each batch among several devices, with KERAS_BACKEND=jax: all of this host, or of several processes. "
        "The recipe's batch size is that of all devices together, so that the learning rate stays as it is.",
    )
    devices: int | None = option(
        None,
        "Devices of each process. On a CPU so many are simulated.",
        metavar="N",
        minimum=1,
        maximum=4096,
        show_default="all GPUs, or the CPU",
        example=2,
    )
    coordinator: str | None = option(
        None,
        "Address at which process 0 listens for the others; nothing protects it, use a private network.",
        metavar="HOST:PORT",
        show_default="SLURM's or torchrun's",
        example="192.168.1.10:4321",
    )
    processes: int | None = option(
        None,
        "Number of processes, on one or several hosts.",
        metavar="N",
        minimum=1,
        maximum=65_536,
        show_default="SLURM's or torchrun's, or 1",
        example=2,
    )
    process_id: int | None = option(
        None,
        "Which of the processes this is, from 0. Process 0 alone validates, logs and writes the run folder.",
        metavar="I",
        minimum=0,
        maximum=65_535,
        show_default="SLURM's or torchrun's",
        example=0,
    )


@dataclass(frozen=True)
class Launch:
    """One of the processes that train together.

    Attributes:
        devices: Devices that it uses; None for all.
        processes: Number of processes.
        process: Which of them it is, from 0.
        coordinator: Address of process 0; None where it is alone.
        local: Which of the processes on its host it is, where a launcher has started several.
    """

    devices: int | None = None
    processes: int = 1
    process: int = 0
    coordinator: str | None = None
    local: int | None = None


def launch_of(options: DistributionOptions, environment: Mapping[str, str]) -> Launch | None:
    """What a process is to do, by its options, torchrun's variables or SLURM's, in this order.

    Args:
        options: The options.
        environment: The environment variables.

    Returns:
        None without --distributed.

    Raises:
        ConfigError: Something is missing, contradicts the rest or is no number.
    """
    given = {
        "--coordinator": options.coordinator,
        "--processes": options.processes,
        "--process-id": options.process_id,
    }
    named = [flag for flag, value in given.items() if value is not None]
    if not options.distributed:
        if named or options.devices is not None:
            raise ConfigError(f"{', '.join(named or ['--devices'])} without --distributed; add it, or leave it out")
        return None
    found = _torchrun(environment) or _slurm(environment) or Launch()
    coordinator = options.coordinator or found.coordinator
    processes = options.processes or found.processes
    process = found.process if options.process_id is None else options.process_id
    missing = [flag for flag, value in given.items() if value is None]
    if named and missing and found.processes == 1:
        raise ConfigError(
            f"{', '.join(named)} without {', '.join(missing)}; expected all three for several processes, or a start by "
            f"SLURM ({', '.join(SLURM)}) or torchrun ({', '.join(TORCHRUN)})"
        )
    if process >= processes:
        raise ConfigError(f"--process-id {process}; expected 0 to {processes - 1}, with {processes} processes")
    if processes == 1:
        return Launch(options.devices)
    return Launch(options.devices, processes, process, _checked_address(str(coordinator)), found.local)


def _torchrun(environment: Mapping[str, str]) -> Launch | None:
    """What torchrun's variables say; None without them, or where they are of a single process."""
    if not {"WORLD_SIZE", "RANK"} <= environment.keys() or _number(environment, "WORLD_SIZE") == 1:
        return None
    missing = [name for name in TORCHRUN if not environment.get(name)]
    if missing:
        raise ConfigError(f"WORLD_SIZE and RANK without {', '.join(missing)}; set all of {', '.join(TORCHRUN)}")
    port = _number(environment, "MASTER_PORT")
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # torchrun itself listens on the port
        port += 1
    several = _number(environment, "LOCAL_WORLD_SIZE", 1) > 1
    return Launch(
        processes=_number(environment, "WORLD_SIZE"),
        process=_number(environment, "RANK"),
        coordinator=f"{environment['MASTER_ADDR']}:{port}",
        local=_number(environment, "LOCAL_RANK", 0) if several else None,
    )


def _slurm(environment: Mapping[str, str]) -> Launch | None:
    """What SLURM's variables say; None outside of `srun`, or in a step of one task."""
    if not all(environment.get(name) for name in SLURM):
        return None
    processes = _number(environment, "SLURM_STEP_NUM_TASKS", _number(environment, "SLURM_NTASKS"))
    if processes == 1:
        return None
    port = FIRST_PORT + (_number(environment, "SLURM_JOB_ID") + _number(environment, "SLURM_STEP_ID", 0)) % PORTS
    hosts = _number(environment, "SLURM_STEP_NUM_NODES", 1)
    return Launch(
        processes=processes,
        process=_number(environment, "SLURM_PROCID"),
        coordinator=f"{first_host(environment['SLURM_STEP_NODELIST'])}:{port}",
        local=_number(environment, "SLURM_LOCALID", 0) if processes > hosts else None,
    )


def first_host(hosts: str) -> str:
    """The first host of SLURM's list: node001 of 'node[001-015,020],other'."""
    matched = re.match(r"([^,\[]+)(?:\[(\w+)[^\]]*\]([^,\[]*))?", hosts)
    if matched is None:
        raise ConfigError(f"SLURM_STEP_NODELIST = {shortened(hosts)} names no host; pass --coordinator HOST:PORT")
    return "".join(part or "" for part in matched.groups())


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A variable that is a whole number, not negative; ConfigError for another."""
    text = environment.get(name) or ("" if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ConfigError(f"{name} = {shortened(text)} is no number; --distributed goes by it, correct or unset it")
    return int(text)


def _checked_address(address: str) -> str:
    """HOST:PORT, as it was given; ConfigError for something else."""
    host, _, port = address.rpartition(":")
    known = re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.%\w]+\]", host)
    if not known or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise ConfigError(f"coordinator {shortened(address)}; expected HOST:PORT, such as 192.168.1.10:4321")
    return address
