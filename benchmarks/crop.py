"""How FER2013's pictures frame their faces, as a detector sees it: the source of the numbers in edge/faces/crop.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.contenders import open_any
from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.config.click_options import json_option, options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.faces.detector import Detector
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.options import DataOptions

ZOOM = 5
"""Each picture is enlarged to 240 px, a common size of a face before a camera."""

PADDING = 0.5
"""Canvas around the picture, in picture sides: the detectors expect a whole head."""


def canvas(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(48, 48) to a square gray frame with the picture in the middle and its border repeated around it."""
    side = FACE_SIZE * ZOOM
    pad = int(side * PADDING)
    enlarged = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(enlarged, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)


def geometry(face: Face) -> dict[str, float]:
    """Sizes and positions of a face that was detected on a canvas, in picture sides (ratios, positions 0..1)."""
    side, box = FACE_SIZE * ZOOM, face.box
    measures = {
        "picture / box side": side / (box.width * box.height) ** 0.5,
        "box centre x": (box.x + box.width / 2) / side - PADDING,
        "box centre y": (box.y + box.height / 2) / side - PADDING,
        "box height / width": box.height / box.width,
    }
    if face.eyes is not None:
        (x0, y0), (x1, y1) = face.eyes
        distance = float(np.hypot(x1 - x0, y1 - y0))
        measures |= {
            "picture / eye distance": side / max(distance, 1.0),
            "eyes' middle x": (x0 + x1) / 2 / side - PADDING,
            "eyes' middle y": (y0 + y1) / 2 / side - PADDING,
            "eyes' tilt, degrees": float(np.degrees(np.arctan2(y1 - y0, x1 - x0))),
        }
    return measures


def measure(pictures: NDArray[np.uint8], detector: Detector) -> Iterator[dict[str, float]]:
    """The geometry of the largest face of each (48, 48) picture in which one is detected."""
    for index, picture in enumerate(pictures):
        faces = detector.detect(Frame(canvas(picture), index))
        if faces:
            yield geometry(faces[0])


@click.command()
@options_from(DataOptions, defaults={"split": "train"})
@click.option("--count", type=IntRange(1), default=2000, metavar="N", help="Pictures, sampled with a fixed seed.")
@options_from(PipelineOptions, only=("detector",))
@click.option(
    "--wheels",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder of wheels, for --detector blazeface or centerface.",
)
@json_option("Print JSON instead of a table.")
def crop(
    data_options: DataOptions, count: int, pipeline_options: PipelineOptions, wheels: Path | None, as_json: bool
) -> None:
    """Measure how a data set's pictures frame their faces: median and quartiles of sizes and positions.

    The crop that the device cuts out of a frame is chosen by these figures.
    """
    pictures, split, spec = data_options.load_split().faces, data_options.split, pipeline_options.detector
    sample = np.random.default_rng(0).permutation(len(pictures))[:count]
    measures = list(measure(pictures[sample], open_any(spec, wheels=wheels)))
    if not measures:
        raise ResultError(
            f"{spec} found no face in {len(sample)} pictures of {data_options.data}; expected pictures of faces"
        )
    quartiles = {}
    for name in measures[0]:
        low, middle, high = np.percentile([row[name] for row in measures], (25, 50, 75)).tolist()
        quartiles[name] = {"q1": low, "median": middle, "q3": high}
    if as_json:
        counts = {"detector": spec, "split": split, "pictures": len(sample), "found": len(measures)}
        click.echo(json.dumps(counts | {"relations": quartiles}, indent=2))
        return
    click.echo(f"{spec}: a face in {len(measures)} of {len(sample)} pictures of '{split}'")
    click.echo(f"{'relation':<24}{'q1':>9}{'median':>9}{'q3':>9}")
    for name, row in quartiles.items():
        click.echo(f"{name:<24}{row['q1']:>9.3f}{row['median']:>9.3f}{row['q3']:>9.3f}")
