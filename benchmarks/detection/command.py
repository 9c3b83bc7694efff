"""`fer-edge bench detection`: recall, false faces, exactness, expressions through the crop, and time of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2

from fer_edge.benchmarks.detection.contenders import open_contenders
from fer_edge.benchmarks.detection.figure import curves
from fer_edge.benchmarks.detection.measuring import add_negatives, measure_scenes, timed_frames
from fer_edge.benchmarks.detection.plan import Plan
from fer_edge.benchmarks.detection.times import measure_times
from fer_edge.benchmarks.fixtures.clips import PORTRAIT
from fer_edge.benchmarks.fixtures.negatives import BACKGROUNDS, photographs
from fer_edge.benchmarks.options import figure_file, one_thread, result_file
from fer_edge.benchmarks.other_runtime import rows_from
from fer_edge.benchmarks.peer_process import open_environment, share_packages
from fer_edge.benchmarks.peers import PACKAGES
from fer_edge.benchmarks.results_io.detection_figures import report_lines
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, identity, load_split, write
from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.edge.types import option
from fer_edge.train.data.class_order import class_order
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.scenes import portrait_patch

MODELS = ("mobilenet_v2", "ensemble")
"""The models whose expressions are compared by default."""

UNIT = "mobilenet_v2"
"""The model whose invocation is the unit of time."""


@dataclass(frozen=True)
class SceneOptions:
    """How many scenes are composed, and from what."""

    count: int = option(100, "Faces of each size and of each tilt in 640x480.", metavar="N", minimum=1)
    wheels: Path | None = option(
        None,
        "Folder of wheels for photographs without faces and for peers; only drawn pictures where it is missing.",
        metavar="FOLDER",
    )
    environments: Path = option(
        Path("runs/peers"), "Folder for the environment of haar, which needs OpenCV 4.", metavar="FOLDER"
    )


@click.command(cls=RecordedCommand)
@options_from(DataOptions, defaults={"split": "train"})
@options_from(SceneOptions)
@click.option(
    "--detector",
    "detectors",
    cls=Option,
    multiple=True,
    default=(PipelineOptions().detector,),
    show_default=True,
    metavar="DETECTOR",
    help="Detector to measure: as for 'fer-edge run', or blazeface or centerface from a wheel. Repeatable.",
)
@click.option(
    "--min-face",
    "min_faces",
    cls=Option,
    type=IntRange(8, 32767),
    multiple=True,
    metavar="PIXELS",
    help="Also measure the detector for video with this --min-face of 'fer-edge run'. Repeatable.",
)
@click.option(
    "--model",
    "models",
    cls=Option,
    multiple=True,
    default=MODELS,
    show_default=True,
    metavar="MODEL",
    help="Expression model that classifies the crops. Repeatable.",
)
@one_thread
@figure_file
@result_file
def detection(
    data_options: DataOptions,
    scene_options: SceneOptions,
    detectors: tuple[str, ...],
    min_faces: tuple[int, ...],
    models: tuple[str, ...],
    pipeline_options: PipelineOptions,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure face detectors on composed scenes, where place, size, tilt and expression of each face are known.

    Recall by size and tilt, false faces, overlap of the crop, distance of the eyes, accuracy of the expression through
    detector and crop, false faces on pictures without a face over the threshold, and CPU time in units of a network's
    invocation. The scenes are made of FER2013 pictures and one portrait pasted on backgrounds; they are no photographs.
    """
    threads = pipeline_options.threads
    elsewhere = "haar" in detectors and not hasattr(cv2, "CascadeClassifier")
    here = [spec for spec in detectors if not (elsewhere and spec == "haar")]
    contenders = open_contenders(here, min_faces, scene_options.wheels, threads)
    classifiers = {spec: open_classifier(spec, threads) for spec in models}
    unit = open_classifier(UNIT, threads).members[0]
    split, described = load_split(data_options, None)
    for spec, classifier in classifiers.items():
        class_order(classifier.classes, split.classes, spec)  # logs another order
        classifier.put_in_order(split.classes)
    pictures = photographs(scene_options.wheels) if scene_options.wheels else {}
    backgrounds = [pictures[name] for name in BACKGROUNDS if name in pictures]
    portrait = portrait_patch(read_picture(PORTRAIT))
    plan = Plan(split, portrait, backgrounds, scene_options.count)
    before = condition()
    rows, references = measure_scenes(contenders, classifiers, plan, split)
    add_negatives(contenders, pictures, rows)
    for row, times in zip(rows, measure_times(contenders, timed_frames(portrait), unit), strict=True):
        row["times"] = times
    if elsewhere:
        rows += _haar_rows(data_options, scene_options, models, threads)
    library = runtime()
    body = {
        "data": described,
        "count": scene_options.count,
        "photographs": sorted(pictures),
        "models": [identity(spec) for spec in models],
        "runtime": f"{library.name} {library.version}",
        "opencv": cv2.__version__,
        "unit": UNIT,
        "before": before,
        "after": condition(),
        "references": references,
        "rows": rows,
    }
    path = write("detection", body, out)
    if plot:
        write_bytes(plot, curves(rows))
    for row in rows:
        click.echo("\n".join(report_lines(row, references)))
    click.echo(f"wrote {path}", err=True)


def _haar_rows(
    data_options: DataOptions, scene_options: SceneOptions, models: tuple[str, ...], threads: int
) -> list[dict[str, Any]]:
    """The row of the Haar cascade, measured in an environment with OpenCV 4: OpenCV 5 has no cascades."""
    python = open_environment(scene_options.environments / "haar", PACKAGES["haar"])
    share_packages(python)
    arguments = ["detection", "--data", data_options.data, "--split", data_options.split]
    arguments += ["--count", scene_options.count, "--detector", "haar", "--threads", threads]
    arguments += data_options.words()
    arguments += ["--wheels", scene_options.wheels] if scene_options.wheels else []
    arguments += [word for model in models for word in ("--model", model)]
    return rows_from(str(python), [str(word) for word in arguments])
