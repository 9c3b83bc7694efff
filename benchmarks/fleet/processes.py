"""Processes of replaying devices."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace

from fer_edge.benchmarks.fleet.replay import Task
from fer_edge.benchmarks.results_io.record import ResultError


@contextmanager
def replaying(task: Task, processes: int = 1) -> Iterator[None]:
    """Run devices that replay a session until the end of the block, which begins when all are online.

    Args:
        task: The task, whose devices are shared among the processes.
        processes: Number of processes.

    Yields:
        Nothing.

    Raises:
        ResultError: A process has ended.
    """
    with ExitStack() as closing:
        running = [closing.enter_context(_process(part)) for part in _parts(task, processes)]
        for process in running:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ResultError("the replay has failed; is there room for a file descriptor per device (ulimit -n)?")
        yield


def _parts(task: Task, processes: int) -> Sequence[Task]:
    parts = [task.names[start::processes] for start in range(processes)]
    return [replace(task, names=names) for names in parts if names]


@contextmanager
def _process(task: Task) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "fer_edge.benchmarks.fleet.replay"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps(asdict(task))}\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate()
