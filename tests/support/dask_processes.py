"""A real Dask scheduler and real worker processes, which may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from distributed import Client
from network_camera import free_port
from waiting import LIMIT, until


class Cluster:
    """A scheduler on this machine, and its workers of one thread each, without nannies that would replace them.

    Attributes:
        address: HOST:PORT of the scheduler.
        scheduler: Its process.
        workers: The processes of all workers that were started, some of which may have ended.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.workers = folder, list[subprocess.Popen[bytes]]()
        self.address = f"127.0.0.1:{free_port()}"
        host, port = self.address.split(":")
        self.scheduler = self._start("scheduler", "--host", host, "--port", port, "--no-dashboard")
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A client of the test's own."""
        if self._client is None:
            self._client = Client(self.address, timeout=LIMIT, set_as_default=False)
        return self._client

    @property
    def alive(self) -> list[subprocess.Popen[bytes]]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if worker.poll() is None]

    def have_workers(self, number: int) -> None:
        """Start or kill workers until there are so many, and the scheduler knows it."""
        for worker in self.alive[number:]:
            kill(worker)
        for _ in range(number - len(self.alive)):
            words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
            folder = ["--local-directory", self._folder / "scratch"]
            self.workers.append(self._start("worker", self.address, *words, *folder))
        until(lambda: len(self.client.nthreads()) == number, self._log)

    def busy(self, port: int) -> subprocess.Popen[bytes]:
        """The worker that has a connection to this port; one has after a while."""

        def connected(worker: subprocess.Popen[bytes]) -> bool:
            with suppress(psutil.Error):
                return any(
                    each.raddr and each.raddr.port == port for each in psutil.Process(worker.pid).net_connections()
                )
            return False

        return until(lambda: next(filter(connected, self.alive), None), self._log)  # type: ignore[return-value]

    def kill_scheduler(self) -> None:
        """End the scheduler as kill -9 does."""
        self.client.close(timeout=1)
        kill(self.scheduler)

    def close(self) -> None:
        """End everything."""
        for process in [*self.alive, self.scheduler]:
            kill(process)
        if self._client is not None:
            self._client.close(timeout=1)

    def _start(self, *words: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *map(str, words)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with open(self._folder / "dask.log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _log(self) -> str:
        return (self._folder / "dask.log").read_text("utf-8", "replace")[-5000:]


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as kill -9 does."""
    process.kill()
    process.wait(LIMIT)


@contextmanager
def cluster_in(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster for the block."""
    cluster = Cluster(folder)
    try:
        cluster.have_workers(workers)
        yield cluster
    finally:
        cluster.close()


def parts(folder: Path, names: Sequence[str] = ("part-*", "manifest.json")) -> dict[str, bytes]:
    """The files of a folder of results, by their names."""
    return {path.name: path.read_bytes() for name in names for path in sorted(folder.glob(name))}
