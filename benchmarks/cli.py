"""`fer-edge bench`: measurements, and tables and reports of their results."""

from __future__ import annotations

import click

from fer_edge.edge.config.lazy_group import LazyGroup

COMMANDS = {
    "accuracy": ("fer_edge.benchmarks.accuracy:accuracy", "Accuracy and calibration on a labelled split."),
    "robustness": ("fer_edge.benchmarks.robustness:robustness", "Accuracy on degraded pictures."),
    "stability": (
        "fer_edge.benchmarks.stability:stability",
        "Labels that stay when a picture changes slightly.",
    ),
    "early-exit": ("fer_edge.benchmarks.early_exit:early_exit", "Time that early exit saves, and accuracy it costs."),
    "latency": ("fer_edge.benchmarks.latency:latency", "Milliseconds per face and peak memory."),
    "layers": ("fer_edge.benchmarks.layers:layers", "Time of an invocation per kind of layer."),
    "batching": ("fer_edge.benchmarks.batching:batching", "Several faces one by one, in parallel or as a batch."),
    "pipeline": ("fer_edge.benchmarks.pipeline:pipeline", "Whole frames stage by stage, from capture to sink."),
    "capture": ("fer_edge.benchmarks.capture:capture", "A camera's frames from its buffers to their scores."),
    "page": ("fer_edge.benchmarks.page:page", "The live page with 1, 10 and 50 viewers."),
    "soak": ("fer_edge.benchmarks.soak.command:soak", "A million frames with everything on: growth and drift."),
    "archive": ("fer_edge.benchmarks.archive:archive", "Archives with 1, 2 and 4 worker processes."),
    "evaluation": ("fer_edge.benchmarks.evaluation:evaluation", "evaluate with 1, 2 and 4 threads."),
    "fleet": ("fer_edge.benchmarks.fleet.command:fleet", "Devices at an MQTT broker: traffic, load, and settings."),
    "cluster": ("fer_edge.benchmarks.cluster:cluster", "Archives on Dask workers, against worker processes."),
    "training": ("fer_edge.benchmarks.training:training", "An epoch on TensorFlow and JAX, one device and two."),
    "start": ("fer_edge.benchmarks.start:start", "Whole processes from start to exit."),
    "peers": ("fer_edge.benchmarks.peers:peers", "Other packages on the same clip and faces."),
    "detection": ("fer_edge.benchmarks.detection.command:detection", "Face detectors on scenes with known faces."),
    "crop": ("fer_edge.benchmarks.crop:crop", "How a data set's pictures frame their faces."),
    "score-cache": ("fer_edge.benchmarks.score_cache:score_cache", "Change of scores when a face hardly changes."),
    "motion": ("fer_edge.benchmarks.motion:motion", "Scene-change tests on still scenes and with faces that come."),
    "compare": ("fer_edge.benchmarks.compare:compare", "Differences of two results, with 95 % intervals."),
    "table": ("fer_edge.benchmarks.table:table", "Markdown tables from results."),
    "report": ("fer_edge.benchmarks.report:report", "One HTML page with tables and figures from results."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def bench() -> None:
    """Measure accuracy and latency on this machine.

    Each measurement writes a result file, from which table and report make pages.
    """
