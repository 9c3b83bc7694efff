"""Worker processes: each has networks of its own, and one that dies costs nothing but the input that killed it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import forkserver

from fer_edge.edge.commands.archive.chunks import Chunk
from fer_edge.edge.commands.archive.processor import Settings, process_chunk
from fer_edge.edge.commands.archive.records import Record
from fer_edge.edge.commands.archive.worker import start
from fer_edge.edge.errors import FerEdgeError, printable
from fer_edge.edge.terminal import LOGGER

PRELOADED = ("fer_edge.edge.commands.archive.worker",)
"""What is imported once, before the workers come from that process: they share its memory and start at once."""

AHEAD = 64
"""Chunks for each worker that may be done before an earlier one is, where results come in order: they are kept."""

MAX_KILLERS = 10
"""Inputs that have killed their workers before any was processed, at which the run ends: it is not the inputs."""

log = logging.getLogger(__name__)


def process_chunks(
    chunks: Sequence[Chunk], settings: Settings, workers: int, *, ordered: bool = False
) -> Generator[tuple[Chunk, list[Record]]]:
    """Process chunks in worker processes.

    A chunk whose worker dies is tried once more in a new one; where that dies, too, each of its inputs is tried alone,
    and the one that ends its worker becomes an error record. When the iteration ends early, the workers do at once.

    Args:
        chunks: The chunks.
        settings: How they are processed.
        workers: Number of processes, at least 1.
        ordered: Whether the results come in the order of the chunks.

    Yields:
        Each chunk with its records, as they are done.

    Raises:
        ModelError: A model cannot be opened.
        FerEdgeError: No worker lives long enough to process anything.
    """
    if not chunks:
        return
    workers = min(workers, len(chunks))
    with _Pool(settings, workers) as pool:
        waiting, todo = _Results(ordered), iter(chunks)
        running: dict[Future[list[Record]], tuple[int, Chunk]] = {}
        submitted = 0
        while True:
            while len(running) < workers and submitted - waiting.yielded < AHEAD * workers:
                chunk = next(todo, None)
                if chunk is None:
                    break
                running[pool.submit(chunk)] = submitted, chunk
                submitted += 1
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, chunk = running.pop(future)
                waiting.add(number, chunk, future.result())
            yield from waiting.ready()


class _Results:
    """Results that wait for those before them."""

    def __init__(self, ordered: bool) -> None:
        self.yielded = 0
        self._ordered = ordered
        self._done: dict[int, tuple[Chunk, list[Record]]] = {}

    def add(self, number: int, chunk: Chunk, records: list[Record]) -> None:
        self._done[number] = chunk, records

    def ready(self) -> Iterator[tuple[Chunk, list[Record]]]:
        while self._done and (not self._ordered or self.yielded in self._done):
            number = self.yielded if self._ordered else next(iter(self._done))
            self.yielded += 1
            yield self._done.pop(number)


class _Pool:
    """A thread for each worker process, which starts it, hands it one chunk after another, and replaces it."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*PRELOADED])
        self._threads = ThreadPoolExecutor(workers, "worker")
        self._own = threading.local()
        self._before = {*multiprocessing.active_children()}
        self._lock = threading.Lock()
        self._executors: set[ProcessPoolExecutor] = set()
        self._futures: set[Future[list[Record]]] = set()
        self._stopping = self._worked = False
        self._killers = 0

    def __enter__(self) -> _Pool:
        _start_server()
        return self

    def submit(self, chunk: Chunk) -> Future[list[Record]]:
        future = self._threads.submit(self._process, chunk)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def _process(self, chunk: Chunk) -> list[Record]:
        """A chunk's records, whatever becomes of the worker; in the worker's thread."""
        for last in (False, True):
            records = self._try(chunk)
            if records is not None:
                return records
            if not last:
                first = printable(chunk.inputs[0].name)
                log.warning("a worker process was killed; the chunk that begins with %s is tried again", first)
        if len(chunk.inputs) == 1:
            return [self._give_up(chunk)]
        single = (replace(chunk, inputs=(each,)) for each in chunk.inputs)
        return [record for each in single for record in self._try(each) or [self._give_up(each)]]

    def _give_up(self, chunk: Chunk) -> Record:
        """The record of an input that has killed its workers; FerEdgeError where all workers die of something else."""
        self._killers += 1
        if self._killers >= MAX_KILLERS and not self._worked:
            raise FerEdgeError(
                f"worker processes were killed with each of the first {self._killers} inputs; is there enough memory? "
                "Try --workers 1"
            )
        name = chunk.inputs[0].name
        return Record(name, error=f"{name}: the worker process was killed twice, as by a system that is out of memory")

    def _try(self, chunk: Chunk) -> list[Record] | None:
        """The chunk's records; None where the worker died."""
        executor = self._executor()
        try:
            records = executor.submit(process_chunk, chunk, self._settings).result()
            self._worked = True
            return records
        except BrokenProcessPool:
            executor.shutdown()  # releases its semaphores
            self._own.executor = None
            with self._lock:
                self._executors.discard(executor)
            if self._stopping:
                raise
            return None

    def _executor(self) -> ProcessPoolExecutor:
        executor: ProcessPoolExecutor | None = getattr(self._own, "executor", None)
        if executor is None:
            level = logging.getLogger(LOGGER).getEffectiveLevel()
            threads = self._settings.pipeline.threads
            executor = ProcessPoolExecutor(1, self._context, initializer=start, initargs=(os.getcwd(), threads, level))
            self._own.executor = executor
            with self._lock:
                self._executors.add(executor)
        return executor

    def __exit__(self, *_: object) -> None:
        """End the workers: by now they have nothing to do, or nobody waits for it."""
        self._stopping = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while True:
            for process in {*multiprocessing.active_children()} - self._before:
                process.terminate()
            if not wait({*self._futures}, 0.1).not_done:  # else a thread may just have started a worker
                break
        self._threads.shutdown()
        for executor in self._executors:
            executor.shutdown()


def _start_server() -> None:
    """Start the process that workers come from; Ctrl-C, which a terminal sends to all, is for this process alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
