"""A Dask scheduler and its workers on this machine: processes of one thread each, which may be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from fer_edge.benchmarks.results_io.record import ResultError

START_TIMEOUT = 120.0
"""Seconds that scheduler and workers have to appear: a busy machine takes many."""


class DaskProcesses:
    """A scheduler and its workers; `with` ends them.

    Attributes:
        address: HOST:PORT of the scheduler.
        scheduler: Its process.
        workers: The processes of all workers, or of the nannies that start them again; some may have ended.

    Args:
        folder: A folder for logs and whatever Dask stores.
        nanny: Whether a worker that dies is replaced.
    """

    def __init__(self, folder: Path, nanny: bool = False) -> None:
        self._folder, self._nanny = folder, nanny
        self.workers: list[subprocess.Popen[bytes]] = []
        self._client: Any = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.scheduler = self.start_scheduler()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()
        for process in [*self.alive, self.scheduler]:
            kill(process, with_children=True)

    @property
    def alive(self) -> list[subprocess.Popen[bytes]]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if worker.poll() is None]

    @property
    def client(self) -> Any:
        """A `distributed.Client` of its own."""
        if self._client is None:
            from distributed import Client

            self._client = Client(self.address, timeout=START_TIMEOUT, set_as_default=False)
        return self._client

    def disconnect(self) -> None:
        """Close `client`; the next one is another."""
        if self._client is not None:
            self._client.close(timeout=1)
            self._client = None

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler at the address, and keep it as `scheduler`; no other one may be running there."""
        host, port = self.address.split(":")
        self.scheduler = self._start("scheduler", "--host", host, "--port", port, "--no-dashboard")
        return self.scheduler

    def have_workers(self, number: int) -> None:
        """Start or end workers until there are so many, and the scheduler knows it; start one that has ended, too.

        Args:
            number: The number of workers.

        Raises:
            ResultError: They do not appear.
        """
        if self.scheduler.poll() is not None:
            self.disconnect()
            self.start_scheduler()
        for worker in self.alive[number:]:
            kill(worker, with_children=True)
        for _ in range(number - len(self.alive)):
            words = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
            folder = ["--local-directory", str(self._folder / "scratch")]
            nanny = "--nanny" if self._nanny else "--no-nanny"
            self.workers.append(self._start("worker", self.address, *words, nanny, *folder))
        end = time.monotonic() + START_TIMEOUT
        while len(self.client.nthreads()) != number:
            if time.monotonic() > end:
                raise ResultError(f"Dask did not start; its log ends with: {self.log()[-500:]}")
            time.sleep(0.05)

    def log(self) -> str:
        """What scheduler and workers have written."""
        return (self._folder / "dask.log").read_text("utf-8", "replace")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with open(self._folder / "dask.log", "ab") as log:
            command = [sys.executable, "-m", "dask", *words]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes], with_children: bool = False) -> None:
    """End a process as kill -9 does, with those that a nanny has started if so said."""
    if with_children:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(START_TIMEOUT)
