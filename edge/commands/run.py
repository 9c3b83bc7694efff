"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from platform import python_version
from threading import Timer

import click
import cv2
import numpy as np

from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.commands.run_outputs import Outputs, open_page, open_sinks, refuse_overwriting_source
from fer_edge.edge.commands.signals import GracefulShutdown
from fer_edge.edge.config.click_options import Option, SectionedCommand, options_from
from fer_edge.edge.config.file import overruled
from fer_edge.edge.device.thermal import BoardCondition, ThermalMonitor
from fer_edge.edge.errors import SourceError
from fer_edge.edge.pipeline import Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.sinks import ViewerGone
from fer_edge.edge.sinks.mqtt.options import MqttOptions
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.terminal import configure_logging
from fer_edge.edge.types import Frame, Source, option
from fer_edge.edge.web.options import WebOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LimitOptions:
    """When a run ends by itself."""

    max_frames: int | None = option(None, "End after this many frames.", minimum=1, example=1000)
    duration: float | None = option(None, "End after this many seconds.", minimum=0, open_minimum=True, example=60)


@click.command(cls=SectionedCommand)
@options_from(SourceOptions, "Camera or source")
@options_from(PipelineOptions, "Models", defaults={"early_exit": True})
@options_from(OutputOptions, "Outputs")
@options_from(EventOptions, "When an emotion begins")
@options_from(WebOptions, "Live page")
@options_from(MqttOptions, "MQTT")
@options_from(LimitOptions, "End")
@click.option("--quiet", "-q", cls=Option, section="Terminal", is_flag=True, help="Log errors only.")
@click.option(
    "--verbose", "-v", cls=Option, section="Terminal", is_flag=True, help="Log versions, and every 10 s rate and times."
)
@click.pass_context
def run(
    context: click.Context,
    source_options: SourceOptions,
    pipeline_options: PipelineOptions,
    output_options: OutputOptions,
    event_options: EventOptions,
    web_options: WebOptions,
    mqtt_options: MqttOptions,
    limit_options: LimitOptions,
    quiet: bool,
    verbose: bool,
) -> None:
    """Recognize expressions live, from a camera or a file; q, Ctrl-C or SIGTERM ends cleanly.

    Results go to stdout, everything else to stderr.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    configure_logging(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    source_options, pipeline_options, output_options = _settle(source_options, pipeline_options, output_options)
    outputs = Outputs(output_options, event_options, web_options, mqtt_options)
    refuse_overwriting_source(source_options.source, output_options)
    with GracefulShutdown() as shutdown, ExitStack() as closing:
        source = closing.enter_context(open_source(source_options))
        pipeline = open_pipeline(pipeline_options, continuous=source.continuous)
        stats = RunStats()
        thermal = ThermalMonitor(lambda level, now: throttle(pipeline, level, now))
        closing.callback(thermal.close)
        model = pipeline_options.model
        page = open_page(closing, source, stats, thermal, model, outputs) if web_options.web else None
        writing = closing.enter_context(ExitStack())
        sinks = [*([page] if page else []), *open_sinks(writing, source, model, outputs)]
        if context.obj is not None:
            log.info("config: %s", context.obj)
        log.debug("versions: Python %s, numpy %s, OpenCV %s", python_version(), np.__version__, cv2.__version__)
        log.info("source: %s", source.name)
        log.info("model: %s: %s", model, pipeline.classifier.description)
        log.info("detector: %s", pipeline.detector.description)
        if page:
            log.info("live page: %s", page.link)
        closing.callback(lambda: _log_summary(stats, source))
        try:
            frames = _until(shutdown, source, limit_options)
            ahead = Prefetch(frames, lambda frame: (pipeline.process(frame), pipeline.stages), stop=source.stop)
            with _timed(source, limit_options.duration), ahead as results:
                for frame, (predictions, stages) in shutdown.waiting(results):
                    with stats.record_frame(predictions, stages):
                        for sink in sinks:
                            sink.show(frame, predictions)
                    if stats.summary_due():
                        _log_summary(stats, source, logging.DEBUG)
            if page and _page_stays(shutdown, source, limit_options):
                page.end()
                writing.close()
                log.info("the source has ended; the live page stays until Ctrl-C or SIGTERM")
                shutdown.wait()
        except ViewerGone as gone:
            log.info("ended: %s", gone)
        if source.problem:
            raise SourceError(source.problem)


def _settle(
    source: SourceOptions, pipeline: PipelineOptions, output: OutputOptions
) -> tuple[SourceOptions, PipelineOptions, OutputOptions]:
    """Of two options that exclude each other the command line's goes before the environment's, that before the file's.

    Raises UsageError where both come from the same place.
    """
    if source.camera is not None and source.source is not None:
        lost = _overruled("camera", "source", "--camera and --source exclude each other")
        source = replace(source, camera=None) if lost == "camera" else replace(source, source=None)
    if output.jsonl == "-" and output.show == "text":
        why = "--show text and --jsonl - both use stdout; use --show none or --jsonl PATH"
        lost = _overruled("jsonl", "show", why)
        output = replace(output, jsonl=None) if lost == "jsonl" else replace(output, show="auto")
    if pipeline.latency_budget is not None and not pipeline.early_exit:
        why = "--latency-budget and --no-early-exit exclude each other"
        lost = _overruled("latency_budget", "early_exit", why)
        no_budget = lost == "latency_budget"
        pipeline = replace(pipeline, latency_budget=None) if no_budget else replace(pipeline, early_exit=True)
    return source, pipeline, output


def _overruled(first: str, second: str, why: str) -> str:
    lost = overruled(first, second)
    if lost is None:
        raise click.UsageError(why)
    return lost


def _until(shutdown: GracefulShutdown, source: Source, limits: LimitOptions) -> Iterator[Frame]:
    """The source's frames until it ends, the user stops, or a limit is reached, a recording's in media time."""
    start, duration = None, None if source.live else limits.duration
    for taken, frame in enumerate(source, start=1):
        start = frame.time if start is None else start
        if shutdown.requested or (duration is not None and frame.time - start >= duration):
            return
        yield frame
        if taken == limits.max_frames:
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


def _page_stays(shutdown: GracefulShutdown, source: Source, limits: LimitOptions) -> bool:
    """Whether the live page stays up at the end of a file: no limit was set, and no supervisor waits for the end."""
    limited = limits.max_frames or limits.duration or "NOTIFY_SOCKET" in os.environ
    return not (source.live or source.problem or limited or shutdown.requested)


def throttle(pipeline: Pipeline, level: int, now: BoardCondition) -> None:
    """Detect half as often and run one model less per face with each level of thermal throttling."""
    changes = pipeline.set_load(level)
    if changes:
        log.info("%s: %s", now, ", ".join(changes))


def _log_summary(stats: RunStats, source: Source, level: int = logging.INFO) -> None:
    for line in stats.summary(source.dropped):
        log.log(level, line)
