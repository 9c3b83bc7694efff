"""Chunks as tasks of a Dask scheduler that is running: its workers process them, and this process writes the results.

Dask schedules, retries and shows progress on its dashboard. Here is what it leaves to its clients: how many tasks are
on their way at once, whether the workers' answers are this machine's, and how long nothing may happen.
"""

from __future__ import annotations

import os
import queue
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from fer_edge.edge.commands.archive.chunks import Chunk
from fer_edge.edge.commands.archive.dask_client import CONNECT_TIMEOUT, check_workers, connected, lost_scheduler
from fer_edge.edge.commands.archive.dask_worker import facts_of_this_machine, process_on_worker
from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.commands.archive.processor import Settings
from fer_edge.edge.commands.archive.records import Record
from fer_edge.edge.errors import ClusterError, FerEdgeError, SourceError, shortened
from fer_edge.edge.expression.model_spec import ENSEMBLE_NAME, MODEL_NAMES
from fer_edge.edge.sources.pictures import read_bytes
from fer_edge.edge.sources.remote_pictures import is_remote

AHEAD = 3
"""Tasks on their way for each thread of the workers: one is worked on, the others wait beside it or travel."""

SENT_BYTES = 8 << 20
"""Bytes of pictures in one task, unless one picture has more."""

RETRIES = 2
"""How often Dask tries a task again that ended with an error; one whose worker died is tried by its own rules."""

POLL = 2.0
"""Seconds between two looks at a cluster in which nothing happens."""


@dataclass(eq=False)
class _Work:
    """A chunk that is being worked on in one or more pieces.

    Attributes:
        chunk: The chunk.
        pieces: Number of its pieces; None until all are cut.
        records: Those of the pieces that are done, by their numbers.
    """

    chunk: Chunk
    pieces: int | None = None
    records: dict[int, list[Record]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Task:
    """Consecutive inputs of a chunk that travel together: the piece of this number."""

    work: _Work
    number: int
    inputs: tuple[Input, ...]


def process_on_dask(
    chunks: Sequence[Chunk], settings: Settings, address: str, *, timeout: float, send: bool = False
) -> Iterator[tuple[Chunk, list[Record]]]:
    """Process chunks on the workers of a Dask scheduler.

    A task is processed again where its worker dies. Of one that several workers died with, each input is tried alone at
    the end, and one that ends its workers even then becomes an error record.

    Args:
        chunks: The chunks, whose paths the workers can read.
        settings: How they are processed.
        address: HOST:PORT, tcp://… or tls://… of the scheduler, or a scheduler file.
        timeout: Seconds for which there may be no scheduler at the start, and at any time no worker.
        send: Whether pictures are read here and sent with the tasks.

    Yields:
        Each chunk with its records, as they are done.

    Raises:
        ClusterError: There is no scheduler, or no worker, or it was lost, or a worker has another version or model.
        ModelError: A worker cannot open a model.
    """
    settings = _for_other_folders(settings)
    files = () if send else _sample(chunks)
    facts = facts_of_this_machine(settings, files)
    with connected(address, timeout) as client:
        check_workers(client, settings, facts, files)
        tasks = _Tasks(client, (settings, facts, files), timeout)
        yield from _process(_cut(chunks, settings.max_pixels if send else None), tasks)


def _process(todo: Iterator[_Task], tasks: _Tasks) -> Iterator[tuple[Chunk, list[Record]]]:
    suspects: list[_Task] = []
    while True:
        while len(tasks) < tasks.limit and (task := next(todo, None)) is not None:
            tasks.submit(task)
        if not len(tasks):
            break
        task, records = tasks.next_done()
        if records is None:
            suspects.append(task)
        else:
            yield from _finish(task, records)
    for task in suspects:  # one after another: else the neighbour of a picture that kills would be blamed, too
        records = []
        for each in task.inputs:
            tasks.submit(replace(task, inputs=(each,)))
            _, own = tasks.next_done()
            records += [_killed(each)] if own is None else own
        yield from _finish(task, records)


def _finish(task: _Task, records: list[Record]) -> Iterator[tuple[Chunk, list[Record]]]:
    """Keep a task's records, and yield its chunk with all of them if it was the last one."""
    work = task.work
    work.records[task.number] = records
    if len(work.records) == work.pieces:
        yield work.chunk, [record for _, piece in sorted(work.records.items()) for record in piece]


def _killed(each: Input) -> Record:
    return Record(each.name, error=f"{each.name}: every worker that tried it was killed, as by lack of memory")


def _cut(chunks: Sequence[Chunk], max_pixels: int | None) -> Iterator[_Task]:
    """The chunks as tasks, one each; with `max_pixels`, pictures are read, and many bytes become several tasks."""
    for chunk in chunks:
        work = _Work(chunk)
        number, size, waiting = 0, 0, list[Input]()
        for each in chunk.inputs:
            loaded = each if max_pixels is None else _with_content(each, max_pixels)
            length = len(loaded.content or b"")
            if waiting and size + length > SENT_BYTES:
                yield _Task(work, number, tuple(waiting))
                number, size, waiting = number + 1, 0, []
            waiting.append(loaded)
            size += length
        work.pieces = number + 1
        yield _Task(work, number, tuple(waiting))


def _with_content(each: Input, max_pixels: int) -> Input:
    if each.error is not None or is_remote(each.path):
        return each
    try:
        return replace(each, content=read_bytes(each.path, max_pixels, pipes=not each.listed))
    except SourceError as error:
        return replace(each, error=str(error))


def _sample(chunks: Sequence[Chunk]) -> tuple[str, ...]:
    """The first, the middle and the last local input, where they are files: they show whether a folder is shared."""
    files = [each.path for chunk in chunks for each in chunk.inputs if each.error is None and not is_remote(each.path)]
    chosen = {files[place] for place in (0, len(files) // 2, -1)} if files else set()
    return tuple(sorted(path for path in chosen if os.path.isfile(path) and os.access(path, os.R_OK)))


def _for_other_folders(settings: Settings) -> Settings:
    """The settings for processes that run in other folders: a model file has its whole path."""
    model = settings.pipeline.model
    if model in (ENSEMBLE_NAME, *MODEL_NAMES):
        return settings
    return replace(settings, pipeline=replace(settings.pipeline, model=os.path.abspath(model)))


class _Tasks:
    """The tasks that are on their way; the scheduler forgets those that are left when the client is closed."""

    def __init__(self, client: Any, arguments: tuple[Any, ...], timeout: float) -> None:
        self._client, self._arguments, self._timeout = client, arguments, timeout
        self._run, self._submitted = uuid.uuid4().hex[:12], 0
        self._running: dict[str, tuple[Any, _Task]] = {}  # futures by their keys
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads, self._looked = 1, monotonic()
        self._missing: float | None = None  # since when there has been no worker
        self._look()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def limit(self) -> int:
        """How many may be on their way."""
        return AHEAD * self._threads + 2

    def submit(self, task: _Task) -> None:
        """Send a task on its way."""
        chunk = replace(task.work.chunk, inputs=task.inputs)
        key = f"fer-edge-{self._run}-{chunk.index:05d}-{self._submitted}"  # keys are shown: no path is in them
        self._submitted += 1
        with lost_scheduler(self._client):
            future = self._client.submit(
                process_on_worker, chunk, *self._arguments, key=key, retries=RETRIES, pure=False
            )
            self._running[key] = future, task
            future.add_done_callback(self._done.put)

    def next_done(self) -> tuple[_Task, list[Record] | None]:
        """Wait for a task; its records are None where its workers died.

        Raises:
            ClusterError: There was no worker for too long, the scheduler is gone, or a worker's answers differ.
            FerEdgeError: What a worker raised.
        """
        from distributed import KilledWorker

        while True:
            if monotonic() - self._looked > POLL:
                self._look()
            try:
                future = self._done.get(timeout=POLL)
            except queue.Empty:
                continue
            records: list[Record] | None = None
            with lost_scheduler(self._client):
                if future.status == "error":
                    error = future.exception(timeout=POLL)
                    if isinstance(error, FerEdgeError):
                        raise error
                    if not isinstance(error, KilledWorker):
                        text = shortened(f"{type(error).__name__}: {error}", 200)
                        raise ClusterError(f"--dask: a worker failed {RETRIES + 1} times ({text}); see its log")
                else:
                    try:
                        records = future.result(timeout=POLL)
                    except TimeoutError:  # its worker died with the result, and Dask computes it again
                        future.add_done_callback(self._done.put)
                        continue
            return self._running.pop(future.key)[1], records

    def _look(self) -> None:
        """Count the workers' threads. Raises ClusterError where there has been none for too long."""
        with lost_scheduler(self._client):
            scheduler, limit = self._client.scheduler, max(self._timeout, CONNECT_TIMEOUT)
            threads = sum(self._client.sync(scheduler.ncores, callback_timeout=limit).values())  # nthreads() may hang
        self._looked = monotonic()
        if threads:
            self._threads, self._missing = threads, None
            return
        self._missing = self._missing or self._looked
        if self._looked - self._missing > self._timeout:
            raise ClusterError(
                f"--dask: the scheduler has had no worker for {self._timeout:g} s; start some with dask worker ADDRESS"
            )
