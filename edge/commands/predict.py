"""`fer-edge predict`: expressions in pictures, one after another."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.commands.picture_inputs import PictureInputs
from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.errors import SourceError
from fer_edge.edge.expression.classifier import Classifier, takes_own_crops
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.expression.model_files import model_files
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
from fer_edge.edge.preprocess import FaceCrops, as_format, shrink, to_gray
from fer_edge.edge.sinks import OutputClosed, guard_stdout
from fer_edge.edge.sinks.album import Album
from fer_edge.edge.sinks.jsonl import JsonLines, face_record
from fer_edge.edge.sinks.output_paths import refuse_shared_files
from fer_edge.edge.sinks.text import describe
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.pictures import several_pictures
from fer_edge.edge.terminal import erase, one_line, overwrite, shows_status_line
from fer_edge.edge.types import Box, Face, Frame, Prediction

log = logging.getLogger(__name__)


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--faces-cropped", is_flag=True, help="Take each picture for a cropped face, and detect none.")
@options_from(SourceOptions, only=("recursive", "max_pixels"))
@options_from(
    PipelineOptions,
    only=("model", "early_exit", "detector", "min_face", "threads", "delegate", "accelerator"),
    defaults={"early_exit": False},
)
@click.option(
    "--jsonl",
    metavar="PATH",
    cls=Option,
    example="faces.jsonl",
    help="Write one JSON line per picture instead of text; - is stdout.",
)
@click.option(
    "--save",
    metavar="DIR",
    type=click.Path(path_type=Path),
    cls=Option,
    example="annotated",
    help="Write annotated PNG files to this folder.",
)
def predict(
    paths: tuple[str, ...],
    faces_cropped: bool,
    source_options: SourceOptions,
    pipeline_options: PipelineOptions,
    jsonl: str | None,
    save: Path | None,
) -> None:
    """Recognize expressions in pictures and folders of pictures.

    A picture that cannot be read does not stop the others; the exit code is then 2.
    """
    quiet_opencv()
    pipeline_options = one_acceleration(pipeline_options)
    inputs = PictureInputs(paths, source_options.recursive, source_options.max_pixels)
    inputs.refuse_as_output(jsonl, save)
    config = click.get_current_context().obj
    refuse_shared_files(
        {"--jsonl": [jsonl] if jsonl else [], "--save": [save] if save else []},
        {"--model": model_files(pipeline_options.model), "--config": [config] if config else []},
    )
    if faces_cropped:
        open_model = open_early_exit if pipeline_options.early_exit else open_classifier
        model, threads, acceleration = pipeline_options.model, pipeline_options.threads, pipeline_options.acceleration
        process = _whole_picture(open_model(model, threads, acceleration=acceleration))
    else:
        process = open_pipeline(pipeline_options).process
    album = None if save is None else Album(save)
    lines = None if jsonl is None else JsonLines(jsonl)
    try:
        failures = _predict(inputs, process, lines, album)
    except OutputClosed:
        return
    finally:
        if shows_status_line() and len(inputs) > 1:
            overwrite("")
        if lines is not None:
            lines.close()
    if failures:
        raise SourceError(f"{failures} of {len(inputs)} pictures could not be read")


def _predict(
    inputs: PictureInputs, process: Callable[[Frame], list[Prediction]], lines: JsonLines | None, album: Album | None
) -> int:
    """Print or write the predictions of each picture; the number of pictures that could not be read."""
    failures = several = 0
    for index, (path, picture) in enumerate(inputs):
        if shows_status_line() and len(inputs) > 1:
            overwrite(f"{index} of {len(inputs)} pictures")
        if isinstance(picture, SourceError):
            failures += 1
            _print_error(path, picture, lines)
            continue
        several += picture.several
        frame = Frame(picture.pixels)
        predictions = process(frame)
        _print_predictions(path, predictions, lines)
        if album is not None:
            album.add(path, frame, predictions)
    if several:
        log.warning("%s", several_pictures(several))
    return failures


def _whole_picture(classifier: Classifier) -> Callable[[Frame], list[Prediction]]:
    """What takes the pipeline's place where the whole picture is the face."""

    def process(frame: Frame) -> list[Prediction]:
        pixels: NDArray[np.uint8] = frame.pixels
        face = Face(Box(0, 0, pixels.shape[1], pixels.shape[0]), 1.0)
        gray = shrink(to_gray(pixels))[None]  # (1, 48, 48)
        own = takes_own_crops(classifier)
        crops = FaceCrops(gray, lambda _, form: as_format(pixels, form)) if own else gray
        return [Prediction(face, classifier(crops)[0], classifier.classes)]

    return process


def _print_predictions(path: Path, predictions: list[Prediction], lines: JsonLines | None) -> None:
    """A picture's faces as one JSON line, or as text with a line for each."""
    if lines is not None:
        faces = [_untracked(face_record(prediction)) for prediction in predictions]
        lines.write({"path": str(path), "faces": faces})
        return
    with guard_stdout():
        name = f"{erase(sys.stdout)}{one_line(str(path))}"
        for prediction in predictions:
            box = prediction.face.box
            click.echo(f"{name}: {describe(prediction)} at {box.x},{box.y} {box.width}x{box.height}")
        if not predictions:
            click.echo(f"{name}: no face")


def _print_error(path: Path, error: SourceError, lines: JsonLines | None) -> None:
    if lines is not None:
        lines.write({"path": str(path), "error": str(error)})
    else:
        click.echo(f"{erase(sys.stderr)}{one_line(str(error))}", err=True)


def _untracked(record: dict[str, Any]) -> dict[str, Any]:
    """The record without a track, as faces are not tracked from picture to picture."""
    return {key: value for key, value in record.items() if key != "track"}
