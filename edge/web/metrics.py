"""A run's metrics for Prometheus, https://prometheus.io/docs/concepts/metric_types/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from fer_edge.edge.device.version import package_version
from fer_edge.edge.sinks.run_stats import RUN_STAGES
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.state import RunInfo, current_predictions, seconds_without_frame
from fer_edge.edge.web.viewers import Viewers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format. Not OpenMetrics, where `fer_edge_faces_total` and `fer_edge_faces` would clash."""

BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of the stage times, seconds: three per decade, from a cached crop to a stalled disk."""

FRAME_BUCKETS = tuple(round(10 ** (exponent / 10), 6) for exponent in range(-33, 3))
"""Upper bounds of a frame's time, seconds: ten per decade from 0.5 ms to 1.6 s, so that a p99 is good to some 10 %."""


class RunMetrics(Collector):
    """The metrics of one run in a registry of their own, so that two runs in a process share nothing.

    Stage times are observed with every frame, which takes 5 to 8 us on a 2.8 GHz Xeon; all else is read when a scraper
    asks.
    """

    def __init__(self, run: RunInfo, mailbox: FrameMailbox, viewers: Viewers) -> None:
        self._run, self._mailbox, self._viewers = run, mailbox, viewers
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        stages = Histogram(
            "fer_edge_stage_seconds", "Time per frame by stage.", ["stage"], buckets=BUCKETS, registry=self._registry
        )
        self._frames = Histogram(
            "fer_edge_frame_seconds", "Time per frame, all stages.", buckets=FRAME_BUCKETS, registry=self._registry
        )
        self._stages = {stage: stages.labels(stage) for stage in RUN_STAGES}
        run.stats.observers.append(self._observe)

    def _observe(self, times: Mapping[str, float]) -> None:
        for stage, histogram in self._stages.items():
            histogram.observe(times[stage])
        self._frames.observe(sum(times.values()))

    def encode(self) -> bytes:
        """All metrics in Prometheus' text format, as `CONTENT_TYPE` says."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All metrics but stage times and process; the temperature only where the board has a sensor."""
        run, stats, thermal = self._run, self._run.stats, self._run.thermal
        yield InfoMetricFamily("fer_edge_build", "Version of fer-edge.", {"version": package_version()})
        yield CounterMetricFamily("fer_edge_frames", "Processed frames.", stats.frames)
        yield CounterMetricFamily(
            "fer_edge_frames_dropped", "Frames of a live source that were dropped.", run.source.dropped
        )
        faces = CounterMetricFamily("fer_edge_faces", "Faces in all frames, by emotion.", labels=["emotion"])
        for emotion in run.classes:
            faces.add_metric([emotion], self._mailbox.emotions[emotion])
        yield faces
        yield _gauge("faces", "Faces in the newest frame.", len(current_predictions(run, self._mailbox)))
        yield _gauge("frame_age_seconds", "Time since the newest frame.", seconds_without_frame(self._mailbox))
        yield _gauge(
            "source_disconnected_seconds", "Time since the source was lost, 0 while connected.", run.source.disconnected
        )
        yield _gauge("recognition", "1, or 0 while frames are not searched for faces.", self._mailbox.recognition)
        yield _gauge("source_black_seconds", "Time for which all pictures have been black.", run.source.black)
        if thermal.condition.celsius is not None:
            yield _gauge("board_celsius", "Temperature of the board.", thermal.condition.celsius)
        yield _gauge("load_level", "Thermal throttling: 0 for full work, up to 2 for the least.", thermal.level)
        yield _gauge(
            "viewers", "Open pages and streams, and clients of single pictures in the last 10 s.", self._viewers.count()
        )


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"fer_edge_{name}", help, value)
