"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from platform import python_version
from statistics import median
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

import click
import cv2
import numpy as np

from fer_edge.edge.ahead import Ahead
from fer_edge.edge.cascade import CascadeClassifier
from fer_edge.edge.classifier import Classifier
from fer_edge.edge.config import weaker
from fer_edge.edge.detector import open_detector
from fer_edge.edge.ensemble import open_cascade, open_classifier
from fer_edge.edge.errors import SourceError
from fer_edge.edge.follower import EVERY, Follower
from fer_edge.edge.heat import Heat, Reading
from fer_edge.edge.pipeline import STAGES, Pipeline
from fer_edge.edge.sinks import Sink, ViewerGone
from fer_edge.edge.smoother import SECONDS, Smoother
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.terminal import NORMAL, QUIET, VERBOSE, set_verbosity, status_wanted
from fer_edge.edge.terminal import say as _log
from fer_edge.edge.tracker import Tracker
from fer_edge.edge.types import Frame, Prediction

T = TypeVar("T")

TOLD_EVERY = 10.0
"""Seconds between two summaries with --verbose."""

REMEMBERED = 3600
"""Frames over which stage times are summed up at the end: bounded, for a program that may run for months."""


@click.command()
@click.option("--camera", metavar="C", help="N, /dev/videoN or picamera2[:N]; 0 without --source.")
@click.option("--source", metavar="S", help="Video, picture, folder of pictures, http or rtsp address.")
@click.option("--model", default="ensemble", help="ensemble, a shipped model's name, or a .tflite file.")
@click.option("--cascade/--no-cascade", default=True, help="Ask the ensemble's later members only where in doubt.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Milliseconds of networks a face, on average.")
@click.option("--detector", default="blazeface", help="Face detector.")
@click.option(
    "--detect-every",
    type=click.IntRange(1),
    default=EVERY,
    help="Frames between looks for faces; more while nothing changes.",
)
@click.option("--smooth", type=click.FloatRange(0), default=SECONDS, help="Time constant of the scores, s; 0 is none.")
@click.option("--show", type=click.Choice(["auto", "window", "text", "none"]), default="auto", help="Display.")
@click.option("--jsonl", metavar="PATH", help="Write one JSON line a frame; - is stdout.")
@click.option("--save-video", type=click.Path(path_type=Path), help="Write an annotated .mp4 or .avi.")
@click.option("--save-picture", type=click.Path(path_type=Path), help="Write the last frame with a face.")
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--threads", type=click.IntRange(min=1), default=2, help="Threads of each network.")
@click.option("--width", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--height", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--quiet", "-q", is_flag=True, help="Tell nothing on stderr but errors.")
@click.option("--verbose", "-v", is_flag=True, help="Tell versions, and rate and stage times every ten seconds.")
@click.pass_context
def run(
    context: click.Context,
    /,
    max_frames: int | None,
    duration: float | None,
    width: int | None,
    height: int | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Recognize expressions live, from a camera or a file; q, Ctrl-C or SIGTERM ends cleanly.

    Results go to stdout, everything else to stderr.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    set_verbosity(QUIET if quiet else VERBOSE if verbose else NORMAL)
    _settle(options)
    with _Stop() as stop, ExitStack() as closing:
        opened = closing.enter_context(open_source(options["camera"], options["source"], width, height))
        pipeline = _pipeline(opened.continuous, options)
        sinks = list(_open_sinks(closing, opened, options))
        if context.obj is not None:
            _log(f"config: {context.obj}")
        _log(f"versions: Python {python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}", VERBOSE)
        _log(f"source: {opened.name}")
        _log(f"model: {options['model']}: {pipeline.classifier.description}")
        _log(f"detector: {getattr(pipeline.detector, 'description', options['detector'])}")
        closing.callback(Heat(lambda level, now: _pace(pipeline, options, level, now)).close)
        tally = _Tally(opened)
        closing.callback(tally.tell)
        try:
            frames = _until(stop, opened, max_frames, duration)
            with Ahead(frames, lambda frame: (pipeline.process(frame), pipeline.stages)) as results:
                for frame, (predictions, stages) in stop.waiting(results):
                    with tally.sinking(predictions, stages):
                        for sink in sinks:
                            sink.show(frame, predictions)
        except ViewerGone as gone:
            _log(f"ended: {gone}")
        if opened.problem:
            raise SourceError(opened.problem)


def _settle(options: dict[str, Any]) -> None:
    """Of options that exclude each other a flag beats the configuration file; two flags are a mistake."""
    if options["camera"] is not None and options["source"] is not None:
        _yield(options, {"camera": None, "source": None}, "--camera and --source exclude each other")
    if options["jsonl"] == "-" and options["show"] == "text":
        told = "--show text and --jsonl - both use stdout; use --show none or --jsonl PATH"
        _yield(options, {"jsonl": None, "show": "auto"}, told)
    if options["budget"] is not None and not options["cascade"]:
        _yield(options, {"budget": None, "cascade": True}, "--budget and --no-cascade exclude each other")


def _yield(options: dict[str, Any], unset: dict[str, Any], told: str) -> None:
    gone = weaker(*unset)
    if gone is None:
        raise click.UsageError(told)
    options[gone] = unset[gone]


def _until(stop: _Stop, source: Source, max_frames: int | None, duration: float | None) -> Iterator[Frame]:
    """The source's frames until it ends, the user stops, or a limit is reached."""
    start = None
    for taken, frame in enumerate(source, start=1):
        start = frame.time if start is None else start
        if stop.requested or (duration is not None and frame.time - start >= duration):
            return
        yield frame
        if taken == max_frames:
            return


def _pipeline(continuous: bool, options: dict[str, Any]) -> Pipeline:
    detector, classifier = open_detector(options["detector"], options["threads"]), _classifier(options)
    if not continuous:
        return Pipeline(detector, classifier)
    return Pipeline(Follower(detector, options["detect_every"]), classifier, Tracker(), Smoother(options["smooth"]))


def _pace(pipeline: Pipeline, options: dict[str, Any], level: int, now: Reading) -> None:
    """Look half as often and ask one network less with each level of heat."""
    told = []
    if isinstance(pipeline.detector, Follower):
        pipeline.detector.every = options["detect_every"] * 2**level
        told.append(f"detecting every {pipeline.detector.every} frames")
    if isinstance(pipeline.classifier, CascadeClassifier):
        members = len(pipeline.classifier.members)
        pipeline.classifier.depth = max(1, members - level)
        told.append(f"up to {pipeline.classifier.depth} of {members} networks a face")
    if told:
        _log(f"{now}: {', '.join(told)}")


def _classifier(options: dict[str, Any]) -> Classifier:
    if options["cascade"]:
        return open_cascade(options["model"], options["threads"], options["budget"])
    return open_classifier(options["model"], options["threads"])


def _open_sinks(closing: ExitStack, source: Source, options: dict[str, Any]) -> Iterator[Sink]:
    """The sinks that were asked for, those that write first and the window last: it may end the run."""

    def kept(sink: Sink) -> Sink:
        closing.callback(sink.close)
        return sink

    if options["jsonl"]:
        from fer_edge.edge.sinks.jsonl import JsonlSink

        yield kept(JsonlSink(options["jsonl"]))
    if options["save_video"]:
        from fer_edge.edge.sinks.video import VideoSink

        yield kept(VideoSink(options["save_video"], None if source.live else source.fps or 25.0))
    if options["save_picture"]:
        from fer_edge.edge.sinks.picture import PictureSink

        yield kept(PictureSink(options["save_picture"]))
    show = options["show"]
    if show == "auto":
        from fer_edge.edge.sinks.window import window_trouble

        show = "window" if window_trouble() is None else "none" if options["jsonl"] == "-" else "text"
    if show == "text":
        from fer_edge.edge.sinks.text import TextSink

        yield kept(TextSink())
    elif show == "window":
        from fer_edge.edge.sinks.window import WindowSink

        yield kept(WindowSink())
    if status_wanted():
        from fer_edge.edge.sinks.status import StatusSink

        yield kept(StatusSink())
    if "NOTIFY_SOCKET" in os.environ:
        from fer_edge.edge.sinks.supervisor import SupervisorSink

        yield kept(SupervisorSink())


class _Stop:
    """SIGINT, SIGTERM and SIGHUP as a wish to end: at once while waiting for a result, else after this one.

    So no sink is interrupted in the middle of a line or a video frame. A third signal interrupts anything.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._waiting = True  # nothing needs finishing before the first frame
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def _heard(self, number: int, at: FrameType | None) -> None:
        self.requested += 1
        if self._waiting or self.requested >= 3:
            raise KeyboardInterrupt

    def waiting(self, results: Iterable[T]) -> Iterator[T]:
        """The results until they end or a signal comes."""
        coming = iter(results)
        while not self.requested:
            try:
                self._waiting = True
                result = next(coming)
            except (KeyboardInterrupt, StopIteration):
                return
            finally:
                self._waiting = False
            yield result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is KeyboardInterrupt and self.requested < 3


class _Tally:
    """What is told at the end, and on the way where more is wanted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.frames = self.faces = 0
        self._stages: deque[dict[str, float]] = deque(maxlen=REMEMBERED)
        self._start = self._end = self._told = perf_counter()

    @contextmanager
    def sinking(self, predictions: list[Prediction], stages: dict[str, float]) -> Iterator[None]:
        """Counts a frame, and times what is done with it."""
        began = perf_counter()
        self.frames += 1
        self.faces += len(predictions)
        try:
            yield
        finally:
            self._end = perf_counter()
            self._stages.append({**stages, "sinks": self._end - began})
            if self._end - self._told >= TOLD_EVERY:
                self._told = self._end
                self.tell(VERBOSE)

    def tell(self, level: int = NORMAL) -> None:
        rate = self.frames / (self._end - self._start) if self.frames else 0.0
        counted = f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s"
        _log(f"{counted}, {self._source.dropped} frames dropped", level)
        if self._stages:
            times = (f"{stage} {1000 * median(s[stage] for s in self._stages):.1f}" for stage in (*STAGES, "sinks"))
            _log(f"p50 of a frame in ms: {', '.join(times)}", level)
