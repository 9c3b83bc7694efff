"""The connection to a Dask scheduler: what can be wrong with it is one line, within a bounded time."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_edge.edge.commands.archive.dask_worker import Facts, difference, facts_of_this_machine
from fer_edge.edge.commands.archive.processor import Settings
from fer_edge.edge.errors import ClusterError, FerEdgeError, printable, shortened

CONNECT_TIMEOUT = 10.0
"""Seconds that a scheduler has to answer, if no worker may be missing for longer."""

CLOSE_TIMEOUT = 5.0
"""Seconds to take leave of the scheduler."""

log = logging.getLogger(__name__)


@contextmanager
def connected(address: str, timeout: float) -> Iterator[Any]:
    """Connect to a scheduler, and log where its dashboard is.

    Certificates for tls://, and all else that Dask can be configured with, come from its configuration:
    https://docs.dask.org/en/stable/configuration.html.

    Args:
        address: HOST:PORT, tcp://… or tls://…, or a file that `dask scheduler --scheduler-file` has written.
        timeout: Seconds that the scheduler has to answer.

    Yields:
        The `distributed.Client`.

    Raises:
        ClusterError: No scheduler answers there.
    """
    import distributed

    for name in ("distributed", "distributed.client"):  # what they have to say becomes an error here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
    address = _in_file(address)
    timeout = min(timeout, CONNECT_TIMEOUT)
    kind = _type_of_server(address, timeout)
    if kind != "Scheduler":
        raise ClusterError(f"--dask: {printable(address)} is the address of a {kind}, expected that of the scheduler")
    try:
        client = distributed.Client(address, timeout=timeout, name="fer-edge")
    except Exception as error:  # it has ended, or was cut off, since it was asked
        raise ClusterError(f"--dask: the scheduler at {printable(address)} was lost: {shortened(error, 120)}") from None
    try:
        threads = client.nthreads()
        workers = f"{len(threads)} workers, {sum(threads.values())} threads"
        log.info("dask: %s at %s; dashboard at %s", workers, client.scheduler.address, client.dashboard_link)
        yield client
    finally:
        with suppress(Exception):  # a scheduler that does not answer any more need not know
            client.close(timeout=CLOSE_TIMEOUT)


def check_workers(client: Any, settings: Settings, here: Facts, files: tuple[str, ...]) -> None:
    """Check that all workers that are there would answer as this machine does.

    Args:
        client: The `distributed.Client`.
        settings: How inputs are processed.
        here: The facts of this machine.
        files: Some inputs that can be read here.

    Raises:
        ClusterError: One would not, or cannot be asked.
    """
    with lost_scheduler(client):
        answers = client.run(facts_of_this_machine, settings, files, on_error="return")
    others = set()
    for address, answer in answers.items():
        if isinstance(answer, ModuleNotFoundError) and "fer_edge" in str(answer):
            raise ClusterError(f"--dask: the worker at {address} has no fer-edge, or an older one; install this one")
        if isinstance(answer, BaseException):
            text = shortened(f"{type(answer).__name__}: {answer}", 200)
            raise ClusterError(f"--dask: the worker at {address} cannot be asked for its version: {text}")
        if problem := difference(here, answer):
            raise ClusterError(f"--dask: {problem}")
        others |= {f"{name} {version} on {answer.host}" for name, version in {*answer.libraries} - {*here.libraries}}
    if others:
        log.warning("dask: other than here: %s; the last digits of results may differ", ", ".join(sorted(others)))


@contextmanager
def lost_scheduler(client: Any) -> Iterator[None]:
    """Turn what Dask raises when the scheduler is gone into ClusterError."""
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except FerEdgeError:
        raise
    except Exception as error:
        gone = (CommClosedError, CancelledError, FutureCancelledError, FuturesCancelledError, OSError)
        if isinstance(error, gone) or client.status != "running":
            raise ClusterError("--dask: the scheduler was lost, does not answer, or ended the tasks") from None
        raise


def _in_file(address: str) -> str:
    """The address in a scheduler file, or the address itself."""
    path = Path(address)
    if not address.endswith(".json") or not path.is_file():
        return address
    try:
        return str(json.loads(path.read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ClusterError(f"--dask: {path} is no file that dask scheduler --scheduler-file has written") from None


def _type_of_server(address: str, timeout: float) -> str:
    """What kind of Dask server answers. Raises ClusterError where none does.

    A `Client` that cannot connect would write to stderr, and wait without end for a server that is none of Dask's.
    """
    from distributed import Security
    from distributed.core import rpc

    async def ask() -> str:
        secrets = Security().get_connection_args("client")
        async with asyncio.timeout(timeout), rpc(address, timeout=timeout, connection_args=secrets) as server:
            return str((await server.identity())["type"])

    try:
        return asyncio.run(ask())
    except ValueError as error:
        raise ClusterError(f"--dask: {shortened(address)!r} is no address of a scheduler: {error}") from None
    except TypeError:
        raise ClusterError(
            "--dask: tls:// needs certificates in Dask's configuration (DASK_DISTRIBUTED__COMM__TLS__CA_FILE and "
            "…__TLS__CLIENT__CERT and __KEY)"
        ) from None
    except Exception as error:  # of sockets, TLS and Dask's own kinds
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        cause = "" if isinstance(error, TimeoutError) or not str(error) else f" ({shortened(error, 120)})"
        raise ClusterError(
            f"--dask: no scheduler answers at {printable(address)} within {timeout:g} s{cause}; is it running (dask "
            "scheduler), and are address and tcp:// or tls:// right?"
        ) from None
