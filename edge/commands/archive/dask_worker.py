"""What a Dask worker does: it checks once that its answers are those of the client's machine, then processes chunks."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2

from fer_edge.edge.commands.archive.chunks import Chunk
from fer_edge.edge.commands.archive.manifest import model_sha256s
from fer_edge.edge.commands.archive.processor import Settings, process_chunk
from fer_edge.edge.commands.archive.records import Record
from fer_edge.edge.device.host_info import package_versions
from fer_edge.edge.device.version import full_version
from fer_edge.edge.errors import ClusterError, FerEdgeError
from fer_edge.edge.sources.capture import quiet_opencv

LIBRARIES = ("numpy", "opencv-python", "opencv-python-headless", "ai-edge-litert", "tflite-runtime")
"""Packages that decode pictures and run networks: in other versions, last digits may differ."""

VERSION = full_version()
"""That of the code which this process has loaded: a worker may live longer than what it was loaded from."""


@dataclass(frozen=True)
class Facts:
    """What an answer depends on, on one machine.

    Attributes:
        host: The machine's name.
        version: Of fer-edge, with the revision of a checkout.
        models: Names and sha256 of the models' files.
        libraries: Names and versions of libraries, and the processor's architecture.
        unreadable: Which of some files are not there.
        problem: Why the models cannot be read; None where they can.
    """

    host: str
    version: str
    models: tuple[tuple[str, str], ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[str, ...] = ()
    problem: str | None = None


def facts_of_this_machine(settings: Settings, files: Sequence[str] = ()) -> Facts:
    """What the answers of this process depend on.

    Args:
        settings: How inputs are processed.
        files: Some of the inputs, which should be readable here.
    """
    libraries = {**package_versions(LIBRARIES), "processor": platform.machine()}
    unreadable = tuple(path for path in files if not os.access(path, os.R_OK))
    try:
        models, problem = tuple(sorted(model_sha256s(settings).items())), None
    except (FerEdgeError, OSError) as error:
        models, problem = (), str(error)
    return Facts(socket.gethostname(), VERSION, models, tuple(sorted(libraries.items())), unreadable, problem)


def difference(client: Facts, worker: Facts) -> str | None:
    """Why a worker's answers would not be the client's, as a sentence; None where they would.

    Args:
        client: The facts of the client's machine.
        worker: Those of the worker's.
    """
    who = f"the worker on {worker.host}"
    if not _same_version(client.version, worker.version):
        return f"{who} has fer-edge {worker.version}, this machine {client.version}; install the same version on both"
    if worker.problem is not None:
        return f"{who} cannot read the model: {worker.problem}"
    if client.models != worker.models:
        own = dict(client.models)
        other = [name for name, digest in worker.models if own.get(name) != digest] or ["model"]
        return f"{who} has another {other[0]} than this machine; copy the same file to both"
    if worker.unreadable:
        return (
            f"{who} cannot read {worker.unreadable[0]}; share the folder under the same name, give addresses such as "
            "s3://…, or add --send-pictures"
        )
    return None


def process_on_worker(chunk: Chunk, settings: Settings, client: Facts, files: tuple[str, ...]) -> list[Record]:
    """Process a chunk on a Dask worker.

    Args:
        chunk: The inputs.
        settings: How they are processed.
        client: The facts of the client's machine.
        files: Some inputs that the client can read.

    Returns:
        As `process_chunk` returns it.

    Raises:
        ClusterError: The worker's answers would not be the client's.
        ModelError: A model cannot be opened.
    """
    _prepare(settings, client, files)
    return process_chunk(chunk, settings)


@lru_cache(maxsize=8)
def _prepare(settings: Settings, client: Facts, files: tuple[str, ...]) -> None:
    """Check this process once for each run; a worker may join while the client is at work. Raises ClusterError."""
    problem = difference(client, facts_of_this_machine(settings, files))
    if problem is not None:
        raise ClusterError(f"--dask: {problem}")
    cv2.setNumThreads(settings.pipeline.threads)
    quiet_opencv()


def _same_version(one: str, other: str) -> bool:
    """Whether two versions are the same; a wheel has no revision, a checkout has one after a +."""
    (public, _, revision), (other_public, _, other_revision) = one.partition("+"), other.partition("+")
    return public == other_public and (not revision or not other_revision or revision == other_revision)
