"""`fer-edge predict`: expressions in pictures and videos, a few or an archive of them."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from time import monotonic

import click
from click.core import ParameterSource

from fer_edge.edge.commands.archive.chunks import cut_chunks, parse_shard
from fer_edge.edge.commands.archive.inputs import absolute_path, list_inputs
from fer_edge.edge.commands.archive.options import ArchiveOptions
from fer_edge.edge.commands.archive.path_list import read_path_list
from fer_edge.edge.commands.archive.processor import Settings
from fer_edge.edge.commands.archive.records import Record, Tally, as_json
from fer_edge.edge.commands.archive.run import (
    Plan,
    batches_in_order,
    default_workers,
    resume_lines,
    single_threaded,
    summary,
    write_parts,
)
from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.config.click_options import Option, SectionedCommand, options_from
from fer_edge.edge.errors import SourceError
from fer_edge.edge.expression.model_files import model_files
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks import OutputClosed, guard_stdout
from fer_edge.edge.sinks.album import Album
from fer_edge.edge.sinks.jsonl import JsonLines
from fer_edge.edge.sinks.line_writer import STDOUT, Rotation
from fer_edge.edge.sinks.output_paths import refuse_shared_files
from fer_edge.edge.sinks.text import describe
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.pictures import several_pictures
from fer_edge.edge.terminal import erase, one_line, overwrite, shows_status_line

ENDLESS = Rotation(sys.maxsize, 0)
"""Appends to a file that is there, whatever its size."""

log = logging.getLogger(__name__)


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="PATH...", nargs=-1)
@click.option("--faces-cropped", is_flag=True, help="Take each picture for a cropped face, and detect none.")
@options_from(SourceOptions, only=("recursive", "max_pixels"))
@options_from(
    PipelineOptions,
    only=("model", "early_exit", "detector", "min_face", "threads", "delegate", "accelerator"),
    defaults={"early_exit": False},
)
@click.option(
    "--jsonl",
    metavar="PATH",
    cls=Option,
    example="faces.jsonl",
    help="Write one JSON line per picture instead of text; - is stdout.",
)
@click.option(
    "--save",
    metavar="DIR",
    type=click.Path(path_type=Path),
    cls=Option,
    example="annotated",
    help="Write annotated PNG files to this folder.",
)
@options_from(ArchiveOptions, "Archives")
def predict(
    paths: tuple[str, ...],
    faces_cropped: bool,
    source_options: SourceOptions,
    pipeline_options: PipelineOptions,
    archive_options: ArchiveOptions,
    jsonl: str | None,
    save: Path | None,
) -> None:
    """Recognize expressions in pictures, folders of pictures and videos.

    A PATH may be a pattern in quotes, such as 'photos/**/*.jpg', or an address: s3://bucket/folder, gs://…, https://….
    --every SECONDS reads videos, too.

    What cannot be read does not stop the others; the exit code is then 2.
    """
    options = archive_options
    _check_combination(paths, options, jsonl, save)
    quiet_opencv()
    pipeline_options = one_acceleration(pipeline_options)
    shard = None if options.shard is None else parse_shard(options.shard)
    more = [] if options.from_file is None else read_path_list(options.from_file, options.null)
    if not paths and not more:
        raise SourceError(f"--from-file: {options.from_file} is empty; expected a path a line")
    if options.dask is not None and not options.send_pictures:  # workers run in other folders
        paths, more = tuple(map(absolute_path, paths)), [*map(absolute_path, more)]
    inputs = list_inputs(paths, more, recursive=source_options.recursive, videos=options.every is not None)
    inputs.refuse_as_output(jsonl, save)
    config = click.get_current_context().obj
    refuse_shared_files(
        {"--jsonl": [jsonl] if jsonl else [], "--save": [save] if save else []},
        {"--model": model_files(pipeline_options.model), "--config": [config] if config else []},
    )
    settings = Settings(pipeline_options, faces_cropped, source_options.max_pixels, options.every)
    chunks = cut_chunks(inputs.entries, options.part_size)
    workers = 1 if save else options.workers or default_workers(inputs.entries)
    workers = max(1, min(workers, len(chunks)))
    in_workers = workers > 1 or options.output is not None
    if in_workers and click.get_current_context().get_parameter_source("threads") is ParameterSource.DEFAULT:
        settings = single_threaded(settings)
    plan, since = Plan(inputs, chunks, shard, settings, workers), monotonic()
    if options.output is not None:
        tally = write_parts(options.output, plan, options)
    else:
        try:
            tally = _write_in_order(plan, jsonl, save, options.resume)
        except OutputClosed:
            return
    if tally.several:
        log.warning("%s", several_pictures(tally.several))
    if in_workers:
        log.info("%s", summary(tally, since, None if options.dask else workers))
    if tally.errors:
        raise SourceError(f"{tally.errors} of {tally.inputs} {inputs.noun} could not be read")


def _check_combination(paths: tuple[str, ...], options: ArchiveOptions, jsonl: str | None, save: Path | None) -> None:
    """Check, before anything is read, that the options make sense together. Raises click.UsageError."""
    if not paths and options.from_file is None:
        raise click.UsageError("no picture was given; expected PATH... or --from-file LIST")
    if options.null and options.from_file is None:
        raise click.UsageError("--null says how the paths in --from-file end; give one")
    if options.output is not None and (jsonl is not None or save is not None):
        raise click.UsageError(f"--output and {'--save' if jsonl is None else '--jsonl'} exclude each other")
    if options.resume and options.output is None and jsonl in (None, *STDOUT):
        raise click.UsageError("--resume goes on in --output DIR or --jsonl FILE; give one of them")
    if options.resume and save is not None:
        raise click.UsageError("--resume and --save exclude each other")
    if options.dask is None and options.send_pictures:
        raise click.UsageError("--send-pictures sends them to Dask workers; give --dask ADDRESS")
    if options.dask is not None and options.output is None:
        raise click.UsageError("--dask writes a part for each chunk; give a folder for them with --output DIR")
    if options.dask is not None and options.workers is not None:
        raise click.UsageError("--dask and --workers exclude each other; Dask workers are started with dask worker")
    if options.send_pictures and options.every is not None:
        raise click.UsageError("--send-pictures sends no videos; share their folder with the workers instead")
    if save is not None and (options.workers or 1) > 1:
        raise click.UsageError("--save draws in one process; expected no --workers, or 1")
    if save is not None and options.every is not None:
        raise click.UsageError("--save and --every exclude each other; fer-edge run --save-video annotates a video")


def _write_in_order(plan: Plan, jsonl: str | None, save: Path | None, resume: bool) -> Tally:
    """Print or write the records of all inputs, or of those that are missing, and count them.

    Raises what the outputs raise.
    """
    tally, since, noun = Tally(), monotonic(), plan.inputs.noun
    with ExitStack() as outputs:
        lines = None
        if resume and jsonl is not None:
            lines = outputs.enter_context(closing(JsonLines(jsonl, ENDLESS)))
            plan = resume_lines(Path(jsonl), plan)
        batches = outputs.enter_context(closing(batches_in_order(plan)))
        album = None if save is None else Album(save)
        if lines is None and jsonl is not None:
            lines = outputs.enter_context(closing(JsonLines(jsonl)))
        total = sum(len(chunk.inputs) for chunk in plan.own_chunks)
        shows = shows_status_line() and total > 1
        if shows:
            outputs.callback(overwrite, "")
        for size, records in batches:
            if shows:
                overwrite(f"{tally.inputs} of {total} {noun}{_time_left(tally.inputs, total, since)}")
            for record, frame in records:
                tally.add([record])
                _print(record, lines)
                if album is not None and frame is not None:
                    album.add(Path(record.path), frame, record.predictions)
            tally.inputs += size
    return tally


def _print(record: Record, lines: JsonLines | None) -> None:
    """A record as one JSON line, or as text with a line for each face."""
    if lines is not None:
        lines.write(as_json(record))
        return
    if record.error is not None:
        click.echo(f"{erase(sys.stderr)}{one_line(record.error)}", err=True)
        return
    with guard_stdout():
        at = "" if record.time is None else f" {record.time:.2f} s"
        name = f"{erase(sys.stdout)}{one_line(record.path)}{at}"
        for prediction in record.predictions:
            box = prediction.face.box
            click.echo(f"{name}: {describe(prediction)} at {box.x},{box.y} {box.width}x{box.height}")
        if not record.predictions:
            click.echo(f"{name}: no face")


def _time_left(done: int, total: int, since: float) -> str:
    """', 0:02:03 left' of a job that began at `since`; '' before anything is done."""
    return f", {timedelta(seconds=round((monotonic() - since) / done * (total - done)))} left" if done else ""
