"""The networks of one process, and what they make of its chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.commands.archive.chunks import Chunk
from fer_edge.edge.commands.archive.fetching import fetch_ahead
from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.commands.archive.records import Record
from fer_edge.edge.errors import SourceError, shortage
from fer_edge.edge.expression.classifier import Classifier, takes_own_crops
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.pipeline import Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.preprocess import FaceCrops, as_format, shrink, to_gray
from fer_edge.edge.sources.picture_decoder import decode_picture
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.sources.pictures import load_picture
from fer_edge.edge.sources.remote_pictures import fetch_picture, is_remote
from fer_edge.edge.types import TRACK_TIMEOUT, Box, Face, Frame, Prediction

TRACK_SAMPLES = 2.5
"""Samples of a video after which a track without a face ends, if that takes longer than in `run`: one may be missed."""


@dataclass(frozen=True)
class Settings:
    """How inputs are processed; the same settings and models give the same records on any machine of a kind.

    Attributes:
        pipeline: The networks and their threads.
        faces_cropped: Whether each picture is a face.
        max_pixels: Largest width times height that is decoded.
        every: Interval of the pictures of a video, seconds; None where there are no videos.
    """

    pipeline: PipelineOptions
    faces_cropped: bool = False
    max_pixels: int = MAX_PIXELS
    every: float | None = None


class Processor:
    """Opened networks; for one thread at a time.

    Attributes:
        classes: (C,) names of the model's classes.

    Args:
        settings: How inputs are processed.

    Raises:
        ModelError: As `open_pipeline` raises it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        options = settings.pipeline
        if settings.faces_cropped:
            open_model = open_early_exit if options.early_exit else open_classifier
            classifier: Classifier = open_model(options.model, options.threads, acceleration=options.acceleration)
            self._pipeline: Pipeline | None = None
            self._process = _whole_picture(classifier)
        else:
            self._pipeline = open_pipeline(options)
            classifier, self._process = self._pipeline.classifier, self._pipeline.process
        self.classes = classifier.classes

    def records(self, each: Input) -> Iterator[tuple[Record, Frame | None]]:
        """Process an input.

        Args:
            each: The input.

        Yields:
            A picture's record, or those of a video's moments; with the frame, which is None for an error.
        """
        if each.error is not None:
            yield Record(each.name, error=each.error), None
            return
        try:
            yield from self._video(each) if each.kind == "video" else self._picture(each)
        except SourceError as error:
            yield Record(each.name, error=str(error)), None
        except (MemoryError, cv2.error) as error:
            if (reason := shortage(error)) is None:
                raise
            yield Record(each.name, error=f"{each.name} cannot be processed: {reason}"), None

    def _picture(self, each: Input) -> Iterator[tuple[Record, Frame]]:
        limit = self._settings.max_pixels
        if each.content is not None:
            picture = decode_picture(each.content, each.path, limit)
        elif is_remote(each.path):
            picture = fetch_picture(each.path, limit)
        else:
            picture = load_picture(each.path, limit, pipes=not each.listed)
        frame = Frame(picture.pixels)
        yield Record(each.name, tuple(self._process(frame)), several=picture.several), frame

    def _video(self, each: Input) -> Iterator[tuple[Record, Frame | None]]:
        """A video's moments. Faces are found as in pictures: what `run` skips or guesses between frames does not pay
        for frames that are so far apart."""
        from fer_edge.edge.sources.video import open_video  # here: pictures need neither

        every, process = self._settings.every or 1.0, self._process
        if self._pipeline is not None:
            from fer_edge.edge.faces.tracker import Tracker

            tracker = Tracker(max(TRACK_TIMEOUT, TRACK_SAMPLES * every))
            process = Pipeline(self._pipeline.detector, self._pipeline.classifier, tracker).process
        with open_video(Path(each.path), self._settings.max_pixels) as video:
            for frame in video.sampled(every):
                yield Record(each.path, tuple(process(frame)), frame=frame.index, time=frame.time), frame
            if video.problem:
                yield Record(each.path, error=video.problem), None


_opened = threading.local()


def process_chunk(chunk: Chunk, settings: Settings) -> list[Record]:
    """Process a chunk, with networks that the calling thread opens with its first chunk and keeps.

    Args:
        chunk: The inputs.
        settings: How they are processed.

    Returns:
        The records of all inputs, in their order.

    Raises:
        ModelError: A model cannot be opened.
    """
    processor = open_processor(settings)
    inputs = fetch_ahead(chunk.inputs, settings.max_pixels)
    return [record for each in inputs for record, _ in processor.records(each)]


def open_processor(settings: Settings) -> Processor:
    """The calling thread's processor with these settings, opened once."""
    if getattr(_opened, "settings", None) != settings:
        _opened.processor, _opened.settings = Processor(settings), settings
    processor: Processor = _opened.processor
    return processor


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
