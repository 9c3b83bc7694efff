"""An archive from its inputs to parts in a folder, or to a stream of records in their order."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from fer_edge.edge.commands.archive.chunks import Chunk, Shard, cut_chunks
from fer_edge.edge.commands.archive.fetching import fetch_ahead
from fer_edge.edge.commands.archive.inputs import Input, Inputs
from fer_edge.edge.commands.archive.options import ArchiveOptions
from fer_edge.edge.commands.archive.processor import Processor, Settings
from fer_edge.edge.commands.archive.records import Record, Tally
from fer_edge.edge.errors import SinkError
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
    from fer_edge.edge.device.capacity import available_memory, usable_cores  # here: every start would wait for it

    memory = available_memory()
    affordable = 1 if memory is None else memory // WORKER_MEMORY
    return max(1, min(usable_cores(), affordable))


@dataclass(frozen=True)
class Plan:
    """What a run works on, and how.

    Attributes:
        inputs: All inputs.
        chunks: All chunks.
        shard: Which of the chunks this run works on; None for all.
        settings: How they are processed.
        workers: Number of processes.
    """

    inputs: Inputs
    chunks: Sequence[Chunk]
    shard: Shard | None
    settings: Settings
    workers: int

    @property
    def own_chunks(self) -> Sequence[Chunk]:
        """The chunks of this run."""
        return self.chunks if self.shard is None else self.shard.of(self.chunks)


def batches_in_order(plan: Plan) -> Generator[Batch]:
    """Process the inputs of a run: in this process where it has one worker, else in worker processes.

    Args:
        plan: The run.

    Returns:
        Batches in the order of the inputs.

    Raises:
        ModelError: A model cannot be opened; at once.
    """
    processor = Processor(plan.settings)
    return _batches_of_workers(plan) if plan.workers > 1 else _batches_here(plan, processor)


def _batches_here(plan: Plan, processor: Processor) -> Generator[Batch]:
    inputs = (each for chunk in plan.own_chunks for each in chunk.inputs)
    for each in fetch_ahead(inputs, plan.settings.max_pixels):
        yield 1, processor.records(each)


def _batches_of_workers(plan: Plan) -> Generator[Batch]:
    from fer_edge.edge.commands.archive.workers import process_chunks  # here: a few pictures need none

    with closing(process_chunks(plan.own_chunks, plan.settings, plan.workers, ordered=True)) as results:
        for chunk, records in results:
            yield len(chunk.inputs), [(record, None) for record in records]


def resume_lines(path: Path, plan: Plan) -> Plan:
    """Cut a file of JSON lines after its last whole input, for a run that goes on with it.

    The file has a manifest beside it, PATH.manifest.json, which is written where there is no such file yet.

    Args:
        path: The file, which is open for appending, and may be empty.
        plan: The whole run.

    Returns:
        What is left of it.

    Raises:
        SinkError: The file is of another run, or of one without a manifest.
        ModelError: A model cannot be opened.
    """
    from fer_edge.edge.commands.archive.line_prefix import whole_inputs
    from fer_edge.edge.commands.archive.manifest import make_manifest, read_manifest, refuse_difference
    from fer_edge.edge.files.documents import write_json

    place, flag = path.with_name(f"{path.name}.manifest.json"), f"--jsonl: {path}"
    own = [each for chunk in plan.own_chunks for each in chunk.inputs]
    classes = Processor(plan.settings).classes
    manifest = make_manifest(plan.settings, own, [], classes, "jsonl")
    before = read_manifest(place)
    if before is None and path.stat().st_size:
        raise SinkError(f"{flag} was not begun with --resume, and has no {place.name}; give another name")
    if before is None:
        write_json(place, manifest)
    else:
        refuse_difference(flag, before, manifest)
    try:
        with path.open("rb") as lines:
            done, size = whole_inputs(lines, own)
    except ValueError as error:
        raise SinkError(f"{flag} {error}; give another name") from None
    os.truncate(path, size)
    if done:
        log.info("%s: the records of %d of %d inputs are there and kept", path, done, len(own))
    return replace(plan, chunks=cut_chunks(own[done:]), shard=None)


def write_parts(folder: Path, plan: Plan, options: ArchiveOptions) -> Tally:
    """Process an archive in worker processes of this machine or of a cluster, and write a part for each chunk.

    Args:
        folder: Where the parts go.
        plan: The run.
        options: The parts' format, whether those that are there are kept, and the cluster.

    Returns:
        What was found in the parts that this run has written.

    Raises:
        ModelError: A model cannot be opened.
        SinkError: As `PartFolder` raises it.
        ClusterError: As `process_on_dask` raises it.
    """
    from fer_edge.edge.commands.archive.manifest import make_manifest
    from fer_edge.edge.commands.archive.parts import PartFolder

    classes = Processor(plan.settings).classes
    if options.format == "parquet":
        import pyarrow  # noqa: F401  # a missing extra is an error at the start
    if options.dask is not None:
        import distributed  # noqa: F401
    manifest = make_manifest(plan.settings, plan.inputs.entries, plan.chunks, classes, options.format)
    parts = PartFolder(folder, manifest, plan.chunks, plan.shard, options.resume)
    if parts.kept:
        log.info("%s: %d parts are there and kept", folder, parts.kept)
    tally, written = Tally(), 0
    total = sum(len(chunk.inputs) for chunk in parts.missing)
    try:
        with (
            closing(_process(parts.missing, plan, options)) as results,
            progress_bar("predict", total) as bar,
        ):
            for chunk, records in results:
                parts.write(chunk, records)
                tally.add(records)
                tally.inputs += len(chunk.inputs)
                written += 1
                bar.update(len(chunk.inputs))
    finally:
        if written < len(parts.missing):
            left = len(parts.missing) - written
            log.warning("%s: %d parts are missing; the same command with --resume goes on", folder, left)
    if plan.shard is not None and (absent := parts.absent(plan.chunks)):
        log.info("%s: %d parts of other shards are not there yet", folder, absent)
    return tally


def _process(chunks: Sequence[Chunk], plan: Plan, options: ArchiveOptions) -> Generator[tuple[Chunk, list[Record]]]:
    """Process chunks, in any order, where the options say."""
    if options.dask is None:
        from fer_edge.edge.commands.archive.workers import process_chunks

        yield from process_chunks(chunks, plan.settings, plan.workers)
    elif chunks:
        from fer_edge.edge.commands.archive.dask_cluster import process_on_dask

        timeout, send = options.dask_timeout, options.send_pictures
        yield from process_on_dask(chunks, plan.settings, options.dask, timeout=timeout, send=send)


def single_threaded(settings: Settings) -> Settings:
    """The settings of workers, which share the cores among them already."""
    return replace(settings, pipeline=replace(settings.pipeline, threads=1))


def summary(tally: Tally, since: float, workers: int | None) -> str:
    """One line about a run that began at `since`, by `time.monotonic`; without `workers`, it ran on a cluster."""
    seconds = max(monotonic() - since, 1e-3)
    count = f"{tally.pictures} pictures, {tally.faces} faces, {tally.errors} errors in {seconds:.1f} s"
    who = "on Dask" if workers is None else f"with {workers} worker{'s' if workers > 1 else ''}"
    return f"{count}: {tally.pictures / seconds:.1f} pictures/s {who}"
