"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from platform import python_version
from threading import Timer
from typing import Any

import click
import cv2
import numpy as np

from fer_edge.edge.commands.click_types import FloatRange
from fer_edge.edge.commands.help_sections import SectionedCommand
from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.commands.run_outputs import open_page, open_sinks, output_options, refuse_overwriting_source
from fer_edge.edge.commands.signals import GracefulShutdown
from fer_edge.edge.config.file import weaker
from fer_edge.edge.device.thermal import BoardCondition, ThermalMonitor
from fer_edge.edge.errors import SourceError
from fer_edge.edge.expression.cascade import CascadeClassifier
from fer_edge.edge.expression.score_cache import CACHE_THRESHOLD
from fer_edge.edge.expression.smoother import SECONDS
from fer_edge.edge.faces.patch_follower import DETECT_EVERY, PatchFollower
from fer_edge.edge.pipeline import Pipeline, open_pipeline
from fer_edge.edge.sinks import ViewerGone
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.terminal import NORMAL, QUIET, VERBOSE, say, set_verbosity
from fer_edge.edge.types import Frame

HEADINGS = {
    "camera": "Camera or source",
    "model": "Networks",
    "show": "Outputs",
    "snapshot_dir": "When an emotion begins",
    "web": "Live page",
    "mqtt": "MQTT",
    "max_frames": "End",
    "quiet": "Terminal",
}
"""Of the options, by the first one under each."""


@click.command(cls=SectionedCommand, headings=HEADINGS)
@click.option("--camera", metavar="C", help="N, /dev/… or picamera2[:N]; 0 without --source; see fer-edge cameras.")
@click.option("--source", metavar="S", help="Video, picture, folder of pictures, address, GStreamer pipeline.")
@click.option("--loop", is_flag=True, help="Play a video as a camera would: at its own rate, again and again.")
@click.option("--width", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--height", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--fps", type=FloatRange(0, min_open=True), help="Frames a second to ask of the camera.")
@click.option("--rotate", type=click.Choice(["0", "90", "180", "270"]), default="0", help="Degrees clockwise.")
@click.option("--mirror", is_flag=True, help="Swap left and right, after --rotate.")
@click.option(
    "--patience",
    type=FloatRange(0),
    default=math.inf,
    show_default="for ever",
    help="Seconds to wait for a camera or stream that was lost; 0 ends at once.",
)
@click.option("--model", default="ensemble", help="ensemble, a shipped model's name, or a .tflite file.")
@click.option("--cascade/--no-cascade", default=True, help="Ask the ensemble's later members only where in doubt.")
@click.option("--budget", type=FloatRange(0, min_open=True), help="Milliseconds of networks a face, on average.")
@click.option("--detector", default="blazeface", help="Face detector.")
@click.option(
    "--detect-every",
    type=click.IntRange(1),
    default=DETECT_EVERY,
    help="Frames between looks for faces; more while nothing changes.",
)
@click.option("--smooth", type=FloatRange(0), default=SECONDS, help="Time constant of the scores, s; 0 is none.")
@click.option(
    "--unchanged",
    type=FloatRange(0),
    default=CACHE_THRESHOLD,
    help="Change of a face, in its contrasts, under which no network is asked again; 0 asks always.",
)
@click.option("--threads", type=click.IntRange(min=1), default=2, help="Threads of each network.")
@output_options
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@click.option("--duration", type=FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--quiet", "-q", is_flag=True, help="Tell nothing on stderr but errors.")
@click.option("--verbose", "-v", is_flag=True, help="Tell versions, and rate and stage times every ten seconds.")
@click.pass_context
def run(context: click.Context, /, quiet: bool, verbose: bool, **options: Any) -> None:
    """Recognize expressions live, from a camera or a file; q, Ctrl-C or SIGTERM ends cleanly.

    Results go to stdout, everything else to stderr.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    set_verbosity(QUIET if quiet else VERBOSE if verbose else NORMAL)
    _settle(options)
    refuse_overwriting_source(options)
    with GracefulShutdown() as stop, ExitStack() as closing:
        source = closing.enter_context(_open_source(options))
        pipeline, stats = _pipeline(source.continuous, options), RunStats()
        heat = ThermalMonitor(lambda level, now: _pace(pipeline, options, level, now))
        closing.callback(heat.close)
        page = open_page(closing, source, stats, heat, options) if options["web"] else None
        writing = closing.enter_context(ExitStack())
        sinks = [*([page] if page else []), *open_sinks(writing, source, options)]
        if context.obj is not None:
            say(f"config: {context.obj}")
        say(f"versions: Python {python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}", VERBOSE)
        say(f"source: {source.name}")
        say(f"model: {options['model']}: {pipeline.classifier.description}")
        say(f"detector: {pipeline.detector.description}")
        if page:
            say(f"live page: {page.link}")
        closing.callback(lambda: _tell(stats, source))
        try:
            frames = _until(stop, source, options)
            ahead = Prefetch(frames, lambda frame: (pipeline.process(frame), pipeline.stages), stop=source.stop)
            with _timed(source, options["duration"]), ahead as results:
                for frame, (predictions, stages) in stop.waiting(results):
                    with stats.sinking(predictions, stages):
                        for sink in sinks:
                            sink.show(frame, predictions)
                    if stats.due():
                        _tell(stats, source, VERBOSE)
            if page and _worth_staying(stop, source, options):
                page.end()
                writing.close()
                say("the source has ended; the live page stays until Ctrl-C or SIGTERM")
                stop.wait()
        except ViewerGone as gone:
            say(f"ended: {gone}")
        if source.problem:
            raise SourceError(source.problem)


def _settle(options: dict[str, Any]) -> None:
    """Of options that exclude each other a flag beats the configuration file; two flags are a mistake."""
    if options["camera"] is not None and options["source"] is not None:
        _give_way(options, {"camera": None, "source": None}, "--camera and --source exclude each other")
    if options["jsonl"] == "-" and options["show"] == "text":
        told = "--show text and --jsonl - both use stdout; use --show none or --jsonl PATH"
        _give_way(options, {"jsonl": None, "show": "auto"}, told)
    if options["budget"] is not None and not options["cascade"]:
        _give_way(options, {"budget": None, "cascade": True}, "--budget and --no-cascade exclude each other")


def _give_way(options: dict[str, Any], unset: dict[str, Any], told: str) -> None:
    gone = weaker(*unset)
    if gone is None:
        raise click.UsageError(told)
    options[gone] = unset[gone]


def _open_source(options: dict[str, Any]) -> Source:
    asked = {
        name: options[name] for name in ("camera", "source", "width", "height", "fps", "mirror", "loop", "patience")
    }
    return open_source(rotate=int(options["rotate"]), tell=lambda line: say(f"source: {line}"), **asked)


def _until(stop: GracefulShutdown, source: Source, options: dict[str, Any]) -> Iterator[Frame]:
    """The source's frames until it ends, the user stops, or a limit is reached, a recording's in media time."""
    start, duration = None, None if source.live else options["duration"]
    for taken, frame in enumerate(source, start=1):
        start = frame.time if start is None else start
        if stop.requested or (duration is not None and frame.time - start >= duration):
            return
        yield frame
        if taken == options["max_frames"]:
            return


@contextmanager
def _timed(source: Source, duration: float | None) -> Iterator[None]:
    """End a live source after so many seconds, whether frames come or not."""
    if duration is None or not source.live:
        yield
        return
    timer = Timer(duration, source.stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _worth_staying(stop: GracefulShutdown, source: Source, options: dict[str, Any]) -> bool:
    """Whether the live page is kept up at the end of a file: nobody set a limit, and nothing supervises the run."""
    limited = options["max_frames"] or options["duration"] or "NOTIFY_SOCKET" in os.environ
    return not (source.live or source.problem or limited or stop.requested)


def _pipeline(continuous: bool, options: dict[str, Any]) -> Pipeline:
    asked = ("model", "detector", "cascade", "budget", "detect_every", "smooth", "unchanged", "threads")
    return open_pipeline(continuous=continuous, **{name: options[name] for name in asked})


def _pace(pipeline: Pipeline, options: dict[str, Any], level: int, now: BoardCondition) -> None:
    """Look half as often and ask one network less with each level of heat."""
    told = []
    if isinstance(pipeline.detector, PatchFollower):
        pipeline.detector.every = options["detect_every"] * 2**level
        told.append(f"detecting every {pipeline.detector.every} frames")
    if isinstance(pipeline.classifier, CascadeClassifier):
        members = len(pipeline.classifier.members)
        pipeline.classifier.depth = max(1, members - level)
        told.append(f"up to {pipeline.classifier.depth} of {members} networks a face")
    if told:
        say(f"{now}: {', '.join(told)}")


def _tell(stats: RunStats, source: Source, level: int = NORMAL) -> None:
    for line in stats.lines(source.dropped):
        say(line, level)
