"""`fer-edge predict`: expressions in pictures, one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.errors import SinkError, SourceError
from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.files import file_identity
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.sinks import OutputClosed, guard_stdout
from fer_edge.edge.sinks.jsonl import JsonLines, face_record
from fer_edge.edge.sinks.text import describe
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.sources.pictures import list_pictures, read_pictures
from fer_edge.edge.terminal import erase, overwrite, shows_status_line
from fer_edge.edge.types import Box, Face, Frame, Prediction


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--faces-cropped", is_flag=True, help="Take each picture for a cropped face, and detect none.")
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
    paths: tuple[Path, ...],
    faces_cropped: bool,
    pipeline_options: PipelineOptions,
    jsonl: str | None,
    save: Path | None,
) -> None:
    """Recognize expressions in pictures and folders of pictures.

    A picture that cannot be read does not stop the others; the exit code is then 2.
    """
    quiet_opencv()
    pipeline_options = one_acceleration(pipeline_options)
    pictures = [picture for path in paths for picture in list_pictures(path)]
    originals = {file_identity(picture) for picture in pictures} - {None}
    if jsonl not in (None, "-") and file_identity(jsonl) in originals:
        raise SinkError(f"--jsonl: {jsonl} is one of the pictures; give another name")
    if faces_cropped:
        open_model = open_early_exit if pipeline_options.early_exit else open_classifier
        model, threads, acceleration = pipeline_options.model, pipeline_options.threads, pipeline_options.acceleration
        process = _whole_picture(open_model(model, threads, acceleration=acceleration))
    else:
        process = open_pipeline(pipeline_options).process
    album = None if save is None else _Album(save, originals)
    lines = None if jsonl is None else JsonLines(jsonl)
    try:
        failures = _predict(pictures, process, lines, album)
    except OutputClosed:
        return
    finally:
        if shows_status_line() and len(pictures) > 1:
            overwrite("")
        if lines is not None:
            lines.close()
    if failures:
        raise SourceError(f"{failures} of {len(pictures)} pictures could not be read")


def _predict(
    pictures: list[Path],
    process: Callable[[Frame], list[Prediction]],
    lines: JsonLines | None,
    album: _Album | None,
) -> int:
    """Print or write the predictions of each picture; the number of pictures that could not be read."""
    failures = 0
    for index, (path, picture) in enumerate(read_pictures(pictures)):
        if shows_status_line() and len(pictures) > 1:
            overwrite(f"{index} of {len(pictures)} pictures")
        if isinstance(picture, SourceError):
            failures += 1
            _print_error(path, picture, lines)
            continue
        frame = Frame(picture)
        predictions = process(frame)
        _print_predictions(path, predictions, lines)
        if album is not None:
            album.add(path, frame, predictions)
    return failures


def _whole_picture(classifier: Classifier) -> Callable[[Frame], list[Prediction]]:
    """What takes the pipeline's place where the whole picture is the face."""

    def process(frame: Frame) -> list[Prediction]:
        pixels: NDArray[np.uint8] = frame.pixels
        face = Face(Box(0, 0, pixels.shape[1], pixels.shape[0]), 1.0)
        return [Prediction(face, classifier(shrink(to_gray(pixels))[None])[0])]

    return process


def _print_predictions(path: Path, predictions: list[Prediction], lines: JsonLines | None) -> None:
    """A picture's faces as one JSON line, or as text with a line for each."""
    if lines is not None:
        faces = [_untracked(face_record(prediction)) for prediction in predictions]
        lines.write({"path": str(path), "faces": faces})
        return
    with guard_stdout():
        for prediction in predictions:
            box = prediction.face.box
            click.echo(f"{erase(sys.stdout)}{path}: {describe(prediction)} at {box.x},{box.y} {box.width}x{box.height}")
        if not predictions:
            click.echo(f"{erase(sys.stdout)}{path}: no face")


def _print_error(path: Path, error: SourceError, lines: JsonLines | None) -> None:
    if lines is not None:
        lines.write({"path": str(path), "error": str(error)})
    else:
        click.echo(f"{erase(sys.stderr)}{error}", err=True)


def _untracked(record: dict[str, Any]) -> dict[str, Any]:
    """The record without a track, as faces are not tracked from picture to picture."""
    return {key: value for key, value in record.items() if key != "track"}


class _Album:
    """Annotated pictures in a folder, named after the originals, none of which is overwritten. Raises SinkError."""

    def __init__(self, folder: Path, originals: Set[tuple[int, int] | None]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder} cannot be created: {error.strerror}") from None
        self._folder, self._originals = folder, originals
        self._used: set[Path] = set()

    def add(self, path: Path, frame: Frame, predictions: list[Prediction]) -> None:
        from fer_edge.edge.sinks.draw import annotate
        from fer_edge.edge.sinks.picture import write_picture

        place, number = self._folder / f"{path.stem}.png", 1
        # a/1.jpg and b/1.jpg have one name; this folder's own 1.png may be an original
        while place in self._used or file_identity(place) in self._originals:
            number += 1
            place = self._folder / f"{path.stem}_{number}.png"
        self._used.add(place)
        write_picture(place, annotate(frame, predictions))
