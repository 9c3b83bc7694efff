"""`fer-edge data record`: faces of one class from a camera, as pictures of a data set."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from fer_edge.edge.commands.exclusive_options import one_acceleration, one_source
from fer_edge.edge.commands.limits import LimitOptions, limited_frames, stop_after
from fer_edge.edge.commands.signals import GracefulShutdown
from fer_edge.edge.config.click_options import Option, SectionedCommand, options_from
from fer_edge.edge.errors import SinkError, SourceError, printable
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks import OutputClosed
from fer_edge.edge.sinks.window import window_problem
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.terminal import overwrite, shows_status_line
from fer_edge.edge.types import Frame, Source, option
from fer_edge.train.commands.record_window import RecordWindow
from fer_edge.train.data.contact_sheets import PREFIX, write_contact_sheets
from fer_edge.train.data.crop_journal import CropJournal
from fer_edge.train.data.face_crops import CropOptions
from fer_edge.train.data.face_recorder import FaceRecorder
from fer_edge.train.data.photo_tree import check_class, check_layout
from fer_edge.train.data.splits import SPLITS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordOptions:
    """When pictures are taken.

    Attributes:
        split: The split's folder; None for class folders without.
        seconds: Seconds to record for without a window; None for a window, or all of a video.
        countdown: Seconds before that.
        every: Seconds between two pictures.
        count: Number of pictures after which the recording ends; None for no limit.
        yes: Whether the people have agreed, so that nobody is asked.
    """

    split: str | None = option(
        None, "Split to record for; record another session for val than for train.", choices=SPLITS
    )
    seconds: float | None = option(
        None,
        "Record for so many seconds without a window.",
        metavar="SECONDS",
        minimum=0,
        open_minimum=True,
        show_default="while the space key is held in a window; all of a video",
    )
    countdown: int = option(3, "Seconds before --seconds begin.", metavar="SECONDS", minimum=0, maximum=600)
    every: float = option(0.2, "Seconds between two pictures.", metavar="SECONDS", minimum=0)
    count: int | None = option(None, "End after so many pictures.", metavar="PICTURES", minimum=1)
    yes: bool = option(False, "Ask nothing: the people in front of the camera know of it and agree.")


@click.command(cls=SectionedCommand)
@click.argument("folder", metavar="FACES", type=click.Path(path_type=Path))
@click.option(
    "--class", "class_name", metavar="NAME", cls=Option, section="Recording", required=True, help="Class to record."
)
@options_from(RecordOptions, "Recording")
@options_from(SourceOptions, "Camera or source")
@options_from(CropOptions, "Crops")
@options_from(PipelineOptions, "Detector", only=("detector", "min_face", "threads", "delegate", "accelerator"))
def record(  # one parameter per options dataclass, and per argument
    folder: Path,
    class_name: str,
    record_options: RecordOptions,
    source_options: SourceOptions,
    crop_options: CropOptions,
    pipeline_options: PipelineOptions,
) -> None:
    """Record faces of one class from a camera, and add them to the class folder in FACES.

    Hold the space key in the window to record; q, Esc or Ctrl-C ends. --seconds records without a window, and so is all
    of a video that --source names. The largest face is cropped as by 'fer-edge run', and stored unless it is like the
    last ones: move the head, change light and distance. FACES/contact-CLASS.jpg shows all pictures of a class.

    The pictures show people: record those who know of it and agree. Nothing leaves this device, only the owner can read
    FACES, and deleting a picture's file deletes it.
    """
    check_class(class_name)
    target = Path(record_options.split or "") / class_name
    check_layout(folder, [target])
    source_options, pipeline_options = one_source(source_options), one_acceleration(pipeline_options)
    if source_options.source is None and record_options.seconds is None and (problem := window_problem()):
        raise SinkError(f"no window can be opened: {problem}; use --seconds N to record without one")
    _ask_for_consent(folder / target, record_options.yes)
    with GracefulShutdown() as shutdown, ExitStack() as stack:
        settings: dict[str, object] = {"crop": True, "size": crop_options.size, "colour": crop_options.colour}
        settings |= {"crop_margin": crop_options.crop_margin, "detector": pipeline_options.detector}
        stack.enter_context(CropJournal(folder, settings))
        source = stack.enter_context(open_source(source_options))
        needs_window = source.live and record_options.seconds is None
        window = stack.enter_context(closing(RecordWindow(class_name))) if needs_window else None
        detector = open_detector(
            pipeline_options.detector,
            pipeline_options.threads,
            pipeline_options.acceleration,
            min_face=pipeline_options.min_face,
            continuous=source.continuous,
        )
        least = crop_options.least_width(pipeline_options.min_face)
        recorder = FaceRecorder(folder, target, crop_options, least, datetime.now())
        log.info("source: %s", source.name)
        if source.live and window is None:
            _count_down(record_options.countdown)
        is_ended = _record(source, detector, recorder, record_options, window, shutdown)
        if shows_status_line():
            overwrite("")
        _report(folder, recorder, folder / target, is_ended)
        if source.problem:
            raise SourceError(source.problem)


def _ask_for_consent(place: Path, is_given: bool) -> None:
    """Say what is stored where, and ask whether the people agree; exit code 1 where they do not.

    Raises UsageError where nobody can be asked.
    """
    click.echo(
        f"Pictures of the face in front of the camera will be stored in {printable(place)}, on this device alone. "
        "Record only people who know of it and agree; deleting the files deletes the pictures.",
        err=True,
    )
    if is_given:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked whether the people agree, as stdin is no terminal; --yes says so")
    if not click.confirm("Do they agree?", default=False, err=True):
        click.echo("nothing was recorded", err=True)
        click.get_current_context().exit(1)


def _count_down(seconds: int) -> None:
    """Count down on stderr."""
    for left in range(seconds, 0, -1):
        click.echo(f"recording begins in {left} s", err=True)
        time.sleep(1)
    click.echo("recording", err=True)


def _record(
    source: Source,
    detector: Detector,
    recorder: FaceRecorder,
    options: RecordOptions,
    window: RecordWindow | None,
    shutdown: GracefulShutdown,
) -> bool:
    """Record until the source ends, enough is recorded or the user ends it; whether the user did."""
    limits, due = LimitOptions(duration=options.seconds), -float("inf")
    frames: Iterator[Frame] = limited_frames(source, limits, shutdown)
    with stop_after(source, options.seconds):
        for frame in shutdown.results_until_signal(frames):
            is_due = frame.time >= due and (window is None or window.is_recording)
            faces = detector.detect(frame) if is_due or window is not None else []
            if is_due:
                recorder.add(frame, faces)
                due = frame.time + options.every
            if window is not None:
                try:
                    window.show(frame, faces, recorder.status())
                except OutputClosed:
                    return True
            elif is_due and shows_status_line():
                overwrite(recorder.status())
            if len(recorder.paths) == options.count:
                break
    return shutdown.requested > 0


def _report(root: Path, recorder: FaceRecorder, place: Path, is_ended: bool) -> None:
    """Print what was recorded, and draw the contact sheets.

    Raises SourceError where nothing was, although the user has not ended it.
    """
    if not recorder.paths and not is_ended:
        raise SourceError(f"no face was recorded: {recorder.status()}")
    click.echo(f"{printable(place)}: {recorder.status()}")
    if recorder.crowded:
        log.warning("several faces in %d pictures: the largest was recorded", recorder.crowded)
    if recorder.paths:
        write_contact_sheets(root)
        click.echo(f"look through {printable(root / PREFIX)}*.jpg, and delete wrong pictures")
