"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import sleep
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

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
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.sinks import Sink, ViewerGone
from fer_edge.edge.smoother import SECONDS, Smoother
from fer_edge.edge.sources import Source, open_source
from fer_edge.edge.tally import Tally
from fer_edge.edge.tracker import Tracker
from fer_edge.edge.types import Frame

if TYPE_CHECKING:
    from fer_edge.edge.web.sink import WebSink

T = TypeVar("T")

STORED = {
    "jsonl": "results as JSON lines",
    "save_video": "annotated video",
    "save_picture": "the last picture with a face",
}
"""Options that keep something on this device, in words for the live page."""


@click.command()
@click.option("--camera", metavar="C", help="N, /dev/… or picamera2[:N]; 0 without --source; see fer-edge cameras.")
@click.option("--source", metavar="S", help="Video, picture, folder of pictures, address, GStreamer pipeline.")
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
@click.option(
    "--web",
    metavar="[HOST:]PORT",
    is_flag=False,
    flag_value="127.0.0.1:8080",
    help="Serve a live page; 127.0.0.1:8080 without a value.",
)
@click.option(
    "--web-token",
    envvar="FER_EDGE_WEB_TOKEN",
    show_envvar=True,
    help="What the live page asks for; needed beyond this machine, and made up there where it is not given.",
)
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--threads", type=click.IntRange(min=1), default=2, help="Threads of each network.")
@click.option("--width", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--height", type=click.IntRange(min=1), help="Pixels to ask of the camera.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frames a second to ask of the camera.")
@click.option("--rotate", type=click.Choice(["0", "90", "180", "270"]), default="0", help="Degrees clockwise.")
@click.option("--mirror", is_flag=True, help="Swap left and right, after --rotate.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=math.inf,
    show_default="for ever",
    help="Seconds to wait for a camera or stream that was lost; 0 ends at once.",
)
def run(
    camera: str | None,
    source: str | None,
    max_frames: int | None,
    duration: float | None,
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
        asked = {name: options[name] for name in ("width", "height", "fps", "mirror", "patience")}
        opened = closing.enter_context(open_source(camera, source, rotate=int(options["rotate"]), tell=_told, **asked))
        pipeline = _pipeline(opened.continuous, options)
        tally = Tally()
        heat = Heat(lambda level, now: _pace(pipeline, options, level, now))
        closing.callback(heat.close)
        page = _open_page(closing, opened, tally, heat, options) if options["web"] else None
        writing = closing.enter_context(ExitStack())
        sinks = [*([page] if page else []), *_open_sinks(writing, opened, options)]
        _log(f"source: {opened.name}")
        _log(f"model: {options['model']}: {pipeline.classifier.description}")
        _log(f"detector: {getattr(pipeline.detector, 'description', options['detector'])}")
        if page:
            _log(f"live page: {page.link}")
        closing.callback(lambda: _log("\n".join(tally.lines(opened.dropped))))
        try:
            frames = _until(stop, opened, max_frames, duration)
            with Ahead(frames, lambda frame: (pipeline.process(frame), pipeline.stages), stop=opened.stop) as results:
                for frame, (predictions, stages) in stop.waiting(results):
                    with tally.sinking(predictions, stages):
                        for sink in sinks:
                            sink.show(frame, predictions)
            if page and not (opened.live or opened.problem or max_frames or duration or stop.requested):
                page.end()
                writing.close()
                _log("the source has ended; the live page stays until Ctrl-C or SIGTERM")
                stop.wait()
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


def _open_page(closing: ExitStack, source: Source, tally: Tally, heat: Heat, options: dict[str, Any]) -> WebSink:
    from fer_edge.edge.web.sink import WebSink
    from fer_edge.edge.web.state import Run

    kept = {what: options[name] for name, what in STORED.items() if options[name] and options[name] != "-"}
    stored = tuple(f"{what} ({Path(path).name})" for what, path in kept.items())
    page = WebSink(options["web"], options["web_token"], Run(source, options["model"], stored, tally, heat))
    closing.callback(page.close)
    return page


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

    def wait(self) -> None:
        """Until a signal comes."""
        try:
            self._waiting = True
            while not self.requested:
                sleep(1.0)
        except KeyboardInterrupt:
            return
        finally:
            self._waiting = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is KeyboardInterrupt and self.requested < 3


def _told(line: str) -> None:
    _log(f"source: {line}")


def _log(line: str) -> None:
    click.echo(line, err=True)
