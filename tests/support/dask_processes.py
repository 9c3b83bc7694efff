"""Which of a Dask cluster's workers is busy with a connection, and the files of a run's results."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
from waiting import until

from fer_edge.benchmarks.dask_processes import DaskProcesses


def busy(cluster: DaskProcesses, port: int) -> subprocess.Popen[bytes]:
    """The worker that has a connection to this port; one has after a while."""

    def connected(worker: subprocess.Popen[bytes]) -> bool:
        with suppress(psutil.Error):
            connections = psutil.Process(worker.pid).net_connections()
            return any(each.raddr and each.raddr.port == port for each in connections)
        return False

    return until(lambda: next(filter(connected, cluster.alive), None), cluster.log)  # type: ignore[return-value]


def parts(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """The files of a folder of results, by their names."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}
