"""How FER2013's pictures frame their faces, seen through a detector: the source of edge/faces/crop.py's numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.loading import load

ZOOM = 5
"""Each picture is enlarged to 240 px, a common size of a face before a camera."""

PADDING = 0.5
"""Canvas around the picture, in picture sides: the detectors expect more than a face's middle."""


def canvas(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(48, 48) to a square gray frame with the picture in the middle and its border repeated around it."""
    side = FACE_SIZE * ZOOM
    pad = int(side * PADDING)
    enlarged = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(enlarged, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)


def relations(face: Face) -> dict[str, float]:
    """A face found on a canvas to its measures in picture sides (ratios of lengths and positions 0..1)."""
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
    """The relations of the largest face of each (48, 48) picture that has one."""
    for index, picture in enumerate(pictures):
        faces = detector.detect(Frame(canvas(picture), index))
        if faces:
            yield relations(faces[0])


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="FER2013 CSV or folder tree.")
@click.option("--split", default="train", show_default=True, help="The split to measure.")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Pictures, drawn by chance with a fixed seed.",
)
@click.option("--detector", "spec", default="blazeface", show_default=True, help="Detector to see through.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def crop(data: Path, split: str, count: int, spec: str, as_json: bool) -> None:
    """Measure how a data set's pictures frame their faces: median and quartiles of each relation."""
    pictures = load(data).split(split).faces
    chosen = np.random.default_rng(0).permutation(len(pictures))[:count]
    found = list(measure(pictures[chosen], open_detector(spec)))
    if not found:
        raise ResultError(f"{spec} found no face in {len(chosen)} pictures of {data}; expected pictures of faces")
    table = {}
    for name in found[0]:
        low, middle, high = np.percentile([row[name] for row in found], (25, 50, 75)).tolist()
        table[name] = {"q1": low, "median": middle, "q3": high}
    if as_json:
        counts = {"detector": spec, "split": split, "pictures": len(chosen), "found": len(found)}
        click.echo(json.dumps(counts | {"relations": table}, indent=2))
        return
    click.echo(f"{spec}: a face in {len(found)} of {len(chosen)} pictures of '{split}'")
    click.echo(f"{'relation':<24}{'q1':>9}{'median':>9}{'q3':>9}")
    for name, row in table.items():
        click.echo(f"{name:<24}{row['q1']:>9.3f}{row['median']:>9.3f}{row['q3']:>9.3f}")
