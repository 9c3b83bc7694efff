"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

import click

from fer_edge.edge.ahead import Ahead
from fer_edge.edge.cascade import CascadeClassifier
from fer_edge.edge.classifier import Classifier
from fer_edge.edge.detector import open_detector
from fer_edge.edge.ensemble import open_cascade, open_classifier
from fer_edge.edge.errors import SourceError
from fer_edge.edge.follower import EVERY, Follower
from fer_edge.edge.heat import Heat, Reading
from fer_edge.edge.outputs import open_outputs, output_options, rotation
from fer_edge.edge.pipeline import STAGES, Pipeline
from fer_edge.edge.sinks import Sink, ViewerGone
from fer_edge.edge.smoother import SECONDS, Smoother
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.tracker import Tracker
from fer_edge.edge.types import Frame, Prediction

T = TypeVar("T")

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
@output_options
@click.option("--save-video", type=click.Path(path_type=Path), help="Write an annotated .mp4 or .avi.")
@click.option("--save-picture", type=click.Path(path_type=Path), help="Write the last frame with a face.")
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--threads", type=click.IntRange(min=1), default=2, help="Threads of each network.")
@click.option("--width", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--height", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
def run(
    camera: str | None,
    source: str | None,
    max_frames: int | None,
    duration: float | None,
    width: int | None,
    height: int | None,
    **options: Any,
) -> None:
    """Recognize expressions live, from a camera or a file; q, Ctrl-C or SIGTERM ends cleanly.

    Results go to stdout, everything else to stderr.
    """
    if camera is not None and source is not None:
        raise click.UsageError("--camera and --source exclude each other")
    if options["jsonl"] == "-" and options["show"] == "text":
        raise click.UsageError("--show text and --jsonl - both use stdout; use --show none or --jsonl PATH")
    if options["budget"] is not None and not options["cascade"]:
        raise click.UsageError("--budget and --no-cascade exclude each other")
    with _Stop() as stop, ExitStack() as closing:
        opened = closing.enter_context(open_source(camera, source, width, height))
        pipeline = _pipeline(opened.continuous, options)
        sinks = list(_open_sinks(closing, opened, options))
        _log(f"source: {opened.name}")
        _log(f"model: {options['model']}: {pipeline.classifier.description}")
        _log(f"detector: {getattr(pipeline.detector, 'description', options['detector'])}")
        closing.callback(Heat(lambda level, now: _pace(pipeline, options, level, now)).close)
        tally = _Tally()
        closing.callback(lambda: tally.tell(opened))
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

        yield kept(JsonlSink(options["jsonl"], rotation(options)))
    for sink in open_outputs(source, options, _log):
        yield kept(sink)
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
    """What is told at the end."""

    def __init__(self) -> None:
        self.frames = self.faces = 0
        self._stages: deque[dict[str, float]] = deque(maxlen=REMEMBERED)
        self._start = self._end = perf_counter()

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

    def tell(self, source: Source) -> None:
        rate = self.frames / (self._end - self._start) if self.frames else 0.0
        _log(f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {source.dropped} frames dropped")
        if self._stages:
            times = (f"{stage} {1000 * median(s[stage] for s in self._stages):.1f}" for stage in (*STAGES, "sinks"))
            _log(f"p50 of a frame in ms: {', '.join(times)}")


def _log(line: str) -> None:
    click.echo(line, err=True)
