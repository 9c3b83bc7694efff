"""An archive from its inputs to parts in a folder, or to a stream of records in their order."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

from fer_edge.edge.commands.archive.chunks import Chunk, Shard
from fer_edge.edge.commands.archive.inputs import Input, Inputs
from fer_edge.edge.commands.archive.manifest import make_manifest
from fer_edge.edge.commands.archive.options import ArchiveOptions
from fer_edge.edge.commands.archive.parts import PartFolder
from fer_edge.edge.commands.archive.processor import Processor, Settings
from fer_edge.edge.commands.archive.records import Record, Tally
from fer_edge.edge.device.board import read_text
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import Frame

MANY_PICTURES, MANY_VIDEOS = 100, 2
"""Inputs from which more than one worker pays: each takes half a second to start."""

WORKER_MEMORY = 200 << 20
"""Bytes that a worker may need with large pictures: no more are started by themselves than memory is available for."""

Batch = tuple[int, Iterable[tuple[Record, Frame | None]]]
"""A number of inputs, and their records with their frames where they are at hand."""

log = logging.getLogger(__name__)


def default_workers(inputs: Sequence[Input]) -> int:
    """How many worker processes pay for these inputs on this machine: 1, or one a core as far as memory is free."""
    videos = sum(each.kind == "video" for each in inputs)
    if len(inputs) < MANY_PICTURES and videos < MANY_VIDEOS:
        return 1
    available = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(Path("/proc/meminfo")) or "", re.MULTILINE)
    affordable = (int(available[1]) << 10) // WORKER_MEMORY if available else 1
    return max(1, min(len(os.sched_getaffinity(0)), affordable))


def batches_here(inputs: Iterable[Input], settings: Settings) -> Iterator[Batch]:
    """Process inputs in this process, one after another; ModelError at once where a model cannot be opened."""
    processor = Processor(settings)
    return ((1, processor.records(each)) for each in inputs)


def batches_of_workers(chunks: Sequence[Chunk], settings: Settings, workers: int) -> Iterator[Batch]:
    """Process chunks in worker processes; the records come in the order of the inputs."""
    from fer_edge.edge.commands.archive.workers import process_chunks  # here: a few pictures need none

    with closing(process_chunks(chunks, settings, workers, ordered=True)) as results:
        for chunk, records in results:
            yield len(chunk.inputs), [(record, None) for record in records]


def write_parts(
    folder: Path,
    inputs: Inputs,
    chunks: Sequence[Chunk],
    shard: Shard | None,
    settings: Settings,
    options: ArchiveOptions,
    workers: int,
) -> Tally:
    """Process an archive, and write a part for each chunk.

    Args:
        folder: Where the parts go.
        inputs: All inputs.
        chunks: All chunks.
        shard: Which of them this run works on; None for all.
        settings: How they are processed.
        options: Format, and whether the run goes on after another.
        workers: Number of processes.

    Returns:
        What was found in the parts that this run has written.

    Raises:
        ModelError: A model cannot be opened.
        SinkError: As `PartFolder` raises it.
    """
    from fer_edge.edge.commands.archive.workers import process_chunks

    classes = Processor(settings).classes
    if options.format == "parquet":
        import pyarrow  # noqa: F401  # a missing extra is an error at the start
    manifest = make_manifest(settings, inputs.entries, chunks, classes, options.format)
    parts = PartFolder(folder, manifest, chunks, shard, options.resume)
    if parts.kept:
        log.info("%s: %d parts are there and kept", folder, parts.kept)
    tally, written = Tally(), 0
    total = sum(len(chunk.inputs) for chunk in parts.missing)
    try:
        with (
            closing(process_chunks(parts.missing, settings, min(workers, len(parts.missing) or 1))) as results,
            progress_bar("predict", total) as bar,
        ):
            for chunk, records in results:
                parts.write(chunk, records)
                tally.add(records)
                written += 1
                bar.update(len(chunk.inputs))
    finally:
        if written < len(parts.missing):
            left = len(parts.missing) - written
            log.warning("%s: %d parts are missing; the same command with --resume goes on", folder, left)
    if shard is not None and (absent := parts.absent(chunks)):
        log.info("%s: %d parts of other shards are not there yet", folder, absent)
    return tally


def single_threaded(settings: Settings) -> Settings:
    """The settings of workers, which share the cores among them already."""
    return replace(settings, pipeline=replace(settings.pipeline, threads=1))


def summary(tally: Tally, since: float, workers: int) -> str:
    """One line about a run that began at `since`, by `time.monotonic`."""
    seconds = max(monotonic() - since, 1e-3)
    count = f"{tally.pictures} pictures, {tally.faces} faces, {tally.errors} errors in {seconds:.1f} s"
    return f"{count}: {tally.pictures / seconds:.1f} pictures/s with {workers} worker{'s' if workers > 1 else ''}"
