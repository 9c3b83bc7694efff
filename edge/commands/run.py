"""`fer-edge run`: expressions from a camera, a stream, a video or pictures, frame by frame."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from platform import python_version
from typing import Any

import click
import cv2
import numpy as np

from fer_edge.edge.commands.exclusive_options import one_acceleration, one_source, overruled_option
from fer_edge.edge.commands.limits import LimitOptions, limited_frames, page_stays, stop_after
from fer_edge.edge.commands.outputs import Outputs, RunDevice, RunModel, refuse_shared_paths
from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.commands.recognition import Recognition
from fer_edge.edge.commands.run_control import change_setting, open_control
from fer_edge.edge.commands.run_outputs import open_page, open_sinks
from fer_edge.edge.commands.signals import GracefulShutdown
from fer_edge.edge.config.click_options import Option, SectionedCommand, options_from
from fer_edge.edge.device.thermal import BoardCondition, ThermalMonitor
from fer_edge.edge.errors import SourceError
from fer_edge.edge.pipeline import Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.sinks import OutputClosed, Sink, show_frame
from fer_edge.edge.sinks.mqtt.options import MqttOptions
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.terminal import configure_logging
from fer_edge.edge.types import Frame, Source
from fer_edge.edge.web.options import WebOptions

log = logging.getLogger(__name__)


@click.command(cls=SectionedCommand)
@options_from(SourceOptions, "Camera or source")
@options_from(PipelineOptions, "Pipeline", defaults={"early_exit": True})
@options_from(OutputOptions, "Outputs")
@options_from(EventOptions, "Events")
@options_from(WebOptions, "Live page")
@options_from(MqttOptions, "MQTT")
@options_from(LimitOptions, "Limits")
@click.option("--quiet", "-q", cls=Option, section="Logging", is_flag=True, help="Log errors only.")
@click.option(
    "--verbose",
    "-v",
    cls=Option,
    section="Logging",
    is_flag=True,
    help="Log versions, and frame rate and stage times every 10 s.",
)
@click.pass_context
def run(  # one parameter per options dataclass
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
    """Recognize expressions live, from a camera, a stream or a file.

    q in the window, Ctrl-C or SIGTERM ends the run cleanly. Results go to stdout, everything else to stderr.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    configure_logging(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    source_options, pipeline_options, output_options = _resolve(source_options, pipeline_options, output_options)
    outputs = Outputs(output_options, event_options, web_options, mqtt_options)
    refuse_shared_paths(source_options, pipeline_options, outputs, context.obj)
    with GracefulShutdown() as shutdown, ExitStack() as closing:
        source = closing.enter_context(open_source(source_options))
        pipeline = open_pipeline(pipeline_options, continuous=source.continuous)
        model = RunModel(pipeline_options.model, pipeline.classes)
        stats = RunStats()
        thermal = ThermalMonitor(lambda level, now: throttle(pipeline, level, now))
        closing.callback(thermal.close)
        page = open_page(closing, source, stats, thermal, model, outputs) if web_options.web else None
        writing = closing.enter_context(ExitStack())
        recognition = Recognition(pipeline)
        control = open_control(pipeline_options, outputs) if mqtt_options.mqtt_control else None
        device = RunDevice(thermal, page.address if page else None, control)
        sinks = [*([page] if page else []), *open_sinks(writing, source, model, outputs, device)]
        if control is not None:
            control.start(partial(change_setting, recognition, sinks))
        _log_start(context, source, model.name, pipeline, page.link if page else None)
        closing.callback(lambda: _log_summary(stats, source))
        try:
            with stop_after(source, limit_options.duration):
                _process(limited_frames(source, limit_options, shutdown), source, recognition, sinks, stats, shutdown)
            if page and page_stays(source, limit_options, shutdown):
                page.end()
                writing.close()
                log.info("the source has ended; the live page stays until Ctrl-C or SIGTERM")
                shutdown.wait()
        except OutputClosed as closed:
            log.info("ended: %s", closed)
        if source.problem:
            raise SourceError(source.problem)


def _process(
    frames: Iterator[Frame],
    source: Source,
    recognition: Recognition,
    sinks: Sequence[Sink],
    stats: RunStats,
    shutdown: GracefulShutdown,
) -> None:
    """Show every frame's predictions in the sinks, while the pipeline works on the next frames in a thread."""
    with Prefetch(frames, recognition.process, stop=source.stop) as results:
        for frame, (predictions, stages) in shutdown.results_until_signal(results):
            with stats.record_frame(predictions or (), stages):
                for sink in sinks:
                    show_frame(sink, frame, predictions)
            if stats.summary_due():
                _log_summary(stats, source, logging.DEBUG)


def _resolve(
    source: SourceOptions, pipeline: PipelineOptions, output: OutputOptions
) -> tuple[SourceOptions, PipelineOptions, OutputOptions]:
    """The options without those that exclude each other: the command line goes before the environment, then the file.

    Raises UsageError where both come from the same origin.
    """
    if output.jsonl == "-" and output.csv == "-":
        lost = overruled_option("jsonl", "csv", "--jsonl - and --csv - both use stdout; give one of them a PATH")
        output = replace(output, jsonl=None) if lost == "jsonl" else replace(output, csv=None)
    for name in ("jsonl", "csv"):
        if getattr(output, name) == "-" and output.show == "text":
            why = f"--show text and --{name} - both use stdout; use --show none or --{name} PATH"
            lost = overruled_option(name, "show", why)
            cleared: dict[str, Any] = {lost: "auto" if lost == "show" else None}
            output = replace(output, **cleared)
    if pipeline.latency_budget is not None and not pipeline.early_exit:
        why = "--latency-budget and --no-early-exit exclude each other"
        lost = overruled_option("latency_budget", "early_exit", why)
        no_budget = lost == "latency_budget"
        pipeline = replace(pipeline, latency_budget=None) if no_budget else replace(pipeline, early_exit=True)
    return one_source(source), one_acceleration(pipeline), output


def throttle(pipeline: Pipeline, level: int, now: BoardCondition) -> None:
    """Set the pipeline's load for a level of thermal throttling, and log what changes.

    Args:
        pipeline: The pipeline, which detects half as often and runs one model less per face with each level.
        level: 0 for all the work, up to `device.thermal.MAX_LOAD_LEVEL`.
        now: The board's condition, for the log.
    """
    changes = pipeline.set_load(level)
    if changes:
        log.info("%s: %s", now, ", ".join(changes))


def _log_start(context: click.Context, source: Source, model: str, pipeline: Pipeline, page: str | None) -> None:
    if context.obj is not None:  # the configuration file
        log.info("config: %s", context.obj)
        from fer_edge.edge.config.exposure import exposed_secret  # here: most people have no file

        exposed = exposed_secret(context.obj, context.find_root())
        if exposed is not None:
            log.warning("%s", exposed)
    log.debug("versions: Python %s, numpy %s, OpenCV %s", python_version(), np.__version__, cv2.__version__)
    log.info("source: %s", source.name)
    log.info("model: %s: %s", model, pipeline.classifier.description)
    log.info("detector: %s", pipeline.detector.description)
    if page is not None:
        log.info("live page: %s", page)


def _log_summary(stats: RunStats, source: Source, level: int = logging.INFO) -> None:
    for line in stats.summary(source.dropped):
        log.log(level, line)
