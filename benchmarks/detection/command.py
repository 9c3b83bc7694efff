"""`fer-edge bench detection`: recall, false faces, exactness, expressions through the crop, and time of detectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.contenders import Contender, open_contenders
from fer_edge.benchmarks.detection.curve import Curve, false_faces, on_curve
from fer_edge.benchmarks.detection.figure import curves
from fer_edge.benchmarks.detection.matching import match
from fer_edge.benchmarks.detection.plan import VARIED, Plan
from fer_edge.benchmarks.detection.tally import Tally, scores_of
from fer_edge.benchmarks.detection.times import measure_times
from fer_edge.benchmarks.fixtures.clips import PORTRAIT
from fer_edge.benchmarks.fixtures.negatives import BACKGROUNDS, WINDOWS, drawn, photographs, windows
from fer_edge.benchmarks.options import comma_separated, count, figure_file, one_thread, result_file
from fer_edge.benchmarks.other_runtime import rows_from
from fer_edge.benchmarks.peer_process import open_environment, share_packages
from fer_edge.benchmarks.peers import PACKAGES
from fer_edge.benchmarks.results_io.detection_figures import LARGE, report_lines
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, identity, load_split, write
from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.expression.ensemble import Ensemble, open_classifier
from fer_edge.edge.files import write_bytes
from fer_edge.edge.pipeline import Pipeline, PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.edge.types import Face, Frame, option
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.scenes import Patch, background, compose, portrait_patch, true_crop
from fer_edge.train.data.splits import Split

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
    default="",
    metavar="PIXELS,…",
    callback=lambda ctx, option, value: (
        comma_separated(count, "numbers of pixels")(ctx, option, value) if value else ()
    ),
    help="Also measure the detectors set to find faces of these sizes.",
)
@click.option(
    "--model",
    "models",
    cls=Option,
    multiple=True,
    default=MODELS,
    show_default=True,
    metavar="MODEL",
    help="Repeatable.",
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
    pictures = photographs(scene_options.wheels) if scene_options.wheels else {}
    backgrounds = [pictures[name] for name in BACKGROUNDS if name in pictures]
    portrait = portrait_patch(np.asarray(cv2.imread(str(PORTRAIT)), np.uint8))
    plan = Plan(split, portrait, backgrounds, scene_options.count)
    before = condition()
    rows, references = _measure(contenders, classifiers, plan, split)
    _measure_negatives(contenders, pictures, rows)
    for row, times in zip(rows, measure_times(contenders, _timed_frames(portrait), unit), strict=True):
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
    arguments += ["--skip-bad"] if data_options.skip_bad else []
    arguments += ["--wheels", scene_options.wheels] if scene_options.wheels else []
    arguments += [word for model in models for word in ("--model", model)]
    return rows_from(str(python), [str(word) for word in arguments])


class _Known:
    """A detector that knows the faces of the next frame, so that several models share one detection."""

    description = "known faces"

    def __init__(self) -> None:
        self.faces: list[Face] = []

    def detect(self, frame: Frame) -> list[Face]:
        return self.faces


def _measure(
    contenders: list[Contender], classifiers: dict[str, Ensemble], plan: Plan, split: Split
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row per detector, and the same counts without one: of the pictures themselves, of the faces' true places."""
    tallies, curves = [Tally() for _ in contenders], [Curve() for _ in contenders]
    known = _Known()
    pipelines = {model: Pipeline(known, classifier) for model, classifier in classifiers.items()}
    true_place = Tally()
    direct: dict[str, dict[int, int]] = {model: {} for model in classifiers}
    pictures = Tally()
    for case, scene in track(plan, "scenes", len(plan)):
        numbers = [face.number for face in scene.faces if face.number >= 0]
        crops = np.stack([true_crop(scene, face) for face in scene.faces])
        measured = classifiers if case.group != "crowd" and (case.size == VARIED or case.size >= LARGE) else {}
        for model, classifier in measured.items():
            scores = {number: classifier(split.faces[number : number + 1])[0] for number in numbers}
            direct[model].update({number: int(np.argmax(each)) for number, each in scores.items()})
            by_index = {index: scores[face.number] for index, face in enumerate(scene.faces) if face.number in scores}
            pictures.add_expressions(case, model, scene.faces, by_index, direct[model])
            true_place.add_expressions(case, model, scene.faces, dict(enumerate(classifier(crops))), direct[model])
        for contender, tally, curve in zip(contenders, tallies, curves, strict=True):
            frame = Frame(scene.pixels)
            known.faces = contender.detect(frame)
            matches = match(known.faces, scene.faces)
            tally.add_detections(case, scene, matches)
            for model in measured:
                scores = scores_of(matches, pipelines[model].process(frame))
                tally.add_expressions(case, model, scene.faces, scores, direct[model])
            if contender.sensitive and on_curve(case):
                curve.add_scene(case, scene, contender.sensitive.detect(frame))
    rows = [
        {"detector": contender.name, **tally.as_row(), "curve": curve}
        for contender, tally, curve in zip(contenders, tallies, curves, strict=True)
    ]
    return rows, {"picture": pictures.as_row(), "true place": true_place.as_row()}


def _measure_negatives(
    contenders: list[Contender], pictures: dict[str, NDArray[np.uint8]], rows: list[dict[str, Any]]
) -> None:
    """Add each detector's false faces on pictures without a face, and finish its curve."""
    for contender, row in zip(contenders, rows, strict=True):
        row["negatives"] = false_faces(contender, _negatives(pictures))
        curve = row["curve"]
        if contender.sensitive:
            for kind, _, pixels in _negatives(pictures):
                curve.add_negative(kind, contender.sensitive.detect(Frame(pixels)))
        row["curve"] = curve.as_rows() if contender.sensitive else []


def _negatives(pictures: dict[str, NDArray[np.uint8]]) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Kind, name and pixels of every image without a face."""
    for name, pixels in (pictures | drawn()).items():
        yield "pictures", name, pixels
    for seed, (name, pixels) in enumerate(pictures.items()):
        for window in windows(pixels, WINDOWS, np.random.default_rng(seed)):
            yield "windows", name, window


def _timed_frames(portrait: Patch) -> list[NDArray[np.uint8]]:
    """A frame of each common size with one face."""
    frames = []
    for width, height in ((640, 480), (1280, 720)):
        rng = np.random.default_rng(0)
        empty = background(width, height, [], rng)
        frames.append(compose(empty.pixels, [portrait], [((width / 2, height / 2), height / 4, 0.0)], rng).pixels)
    return frames
