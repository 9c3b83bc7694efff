"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, Self

import click

from fer_edge.edge.detector import open_detector
from fer_edge.edge.ensemble import open_classifier
from fer_edge.edge.errors import SourceError
from fer_edge.edge.pipeline import STAGES, Pipeline
from fer_edge.edge.sinks import Sink, ViewerGone
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.tracker import Tracker
from fer_edge.edge.types import Frame, Prediction

REMEMBERED = 3600
"""Frames over which stage times are summed up at the end: bounded, for a program that may run for months."""


@click.command()
@click.option("--camera", metavar="C", help="N, /dev/videoN or picamera2[:N]; 0 without --source.")
@click.option("--source", metavar="S", help="Video, picture, folder of pictures, http or rtsp address.")
@click.option("--model", default="ensemble", help="ensemble, a shipped model's name, or a .tflite file.")
@click.option("--detector", default="blazeface", help="Face detector.")
@click.option("--show", type=click.Choice(["auto", "window", "text", "none"]), default="auto", help="Display.")
@click.option("--jsonl", metavar="PATH", help="Write one JSON line a frame; - is stdout.")
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
    with _Stop() as stop, ExitStack() as closing:
        opened = closing.enter_context(open_source(camera, source, width, height))
        pipeline = Pipeline(
            open_detector(options["detector"], options["threads"]),
            open_classifier(options["model"], options["threads"]),
            Tracker() if opened.continuous else None,
        )
        sinks = list(_open_sinks(closing, opened, options))
        _log(f"source: {opened.name}")
        _log(f"model: {options['model']}: {pipeline.classifier.description}")
        _log(f"detector: {getattr(pipeline.detector, 'description', options['detector'])}")
        tally = _Tally()
        closing.callback(lambda: tally.tell(opened))
        try:
            for frame in _until(stop, opened, max_frames, duration):
                predictions = pipeline.process(frame)
                tally.add(predictions, pipeline.stages)
                for sink in sinks:
                    sink.show(frame, predictions)
        except ViewerGone as gone:
            _log(f"ended: {gone}")
        if opened.problem:
            raise SourceError(opened.problem)


def _until(stop: _Stop, source: Source, max_frames: int | None, duration: float | None) -> Iterator[Frame]:
    """The source's frames until it ends, the user stops, or a limit is reached."""
    frames = iter(source)
    taken, start = 0, 0.0
    while not stop.requested and taken != max_frames:
        frame = stop.wait(frames)
        if frame is None:
            return
        start = frame.time if taken == 0 else start
        if duration is not None and frame.time - start >= duration:
            return
        taken += 1
        yield frame


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


class _Stop:
    """SIGINT, SIGTERM and SIGHUP as a wish to end: at once while waiting for a frame, else after this one.

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

    def wait(self, frames: Iterator[Frame]) -> Frame | None:
        """The next frame; None at the end of the frames or when a signal came."""
        try:
            self._waiting = True
            frame = next(frames, None)
            self._waiting = False
            return frame
        except KeyboardInterrupt:
            return None
        finally:
            self._waiting = False

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

    def add(self, predictions: list[Prediction], stages: dict[str, float]) -> None:
        self.frames += 1
        self.faces += len(predictions)
        self._stages.append(stages)
        self._end = perf_counter()

    def tell(self, source: Source) -> None:
        rate = self.frames / (self._end - self._start) if self.frames else 0.0
        _log(f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {source.dropped} frames dropped")
        if self._stages:
            times = (f"{stage} {1000 * median(s[stage] for s in self._stages):.1f}" for stage in STAGES)
            _log(f"p50 of a frame in ms: {', '.join(times)}")


def _log(line: str) -> None:
    click.echo(line, err=True)
