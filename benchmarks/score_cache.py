"""How far scores move when a face hardly changes: the source of the numbers in edge/expression/score_cache.py."""

from __future__ import annotations

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.score_cache import difference
from fer_edge.edge.expression.scores import total_variation
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.train.data.options import DataOptions

ZOOM = 4
"""Each picture is enlarged to 192 px before it is perturbed, so that it moves by fractions of a pixel."""

VIEWS = 4
"""Perturbed views of each picture."""


def perturb(picture: NDArray[np.uint8], amount: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A (48, 48) picture as a camera might see it a moment later, by an amount of 0 (as it is) to 1.

    Standard deviations at 1: 0.8 px of shift, 2 degrees, 2 % of size, 3 gray levels of light; noise of 1.5.
    """
    side = ZOOM * FACE_SIZE
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    degrees, zoom = amount * rng.normal(0, (2, 0.02))
    matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), degrees, 1 + zoom)
    matrix[:, 2] = matrix[:, 2] + amount * rng.normal(0, 0.8 * ZOOM, 2)
    large = cv2.warpAffine(large, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(large, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
    noise = amount * (rng.normal(0, 3) + rng.normal(0, 1.5, small.shape))
    return np.asarray(np.clip(np.rint(small + noise), 0, 255), np.uint8)


@click.command()
@options_from(DataOptions)
@click.option("--count", type=IntRange(1), default=1000, metavar="N", help="Pictures, sampled with a fixed seed.")
@options_from(PipelineOptions, only=("model",))
def score_cache(data_options: DataOptions, count: int, pipeline_options: PipelineOptions) -> None:
    """Measure how scores change with a crop: pairs of a face and the same face a moment later.

    Ten lines, from the smallest difference of the crops to the largest. Difference: of the crops, in standard
    deviations of their gray values, as --cache-threshold is. Distance: total variation of the two scores. Changed:
    pairs with another emotion. Lead: median lead of the first emotion over the second in those.
    """
    faces = data_options.load_split().faces
    rng, classifier = np.random.default_rng(0), open_classifier(pipeline_options.model)
    rows = []
    for face in faces[rng.permutation(len(faces))[:count]]:
        views = np.stack([perturb(face, amount, rng) for amount in (0.0, *rng.uniform(0, 1, VIEWS))])
        scores = classifier(views)
        first, second = np.sort(scores[0])[-1:-3:-1]
        for view, row in zip(views[1:], scores[1:], strict=True):
            gap = difference(view, views[0]) / max(1e-3, float(views[0].std()))
            changed = row.argmax() != scores[0].argmax()
            rows.append((gap, total_variation(row, scores[0]), float(changed), first - second if changed else np.nan))
    pairs = np.array(sorted(rows))  # (N, 4), by difference
    click.echo(f"{len(pairs)} pairs")
    click.echo(f"{'difference':>14}{'distance, mean':>16}{'p90':>8}{'changed':>9}{'lead':>7}")
    for part in np.array_split(pairs, 10):
        with_change = part[:, 2] == 1
        lead = f"{np.median(part[with_change, 3]):7.3f}" if with_change.any() else f"{'–':>7}"
        click.echo(
            f"{part[0, 0]:6.3f} – {part[-1, 0]:5.3f}{part[:, 1].mean():16.3f}{np.percentile(part[:, 1], 90):8.3f}"
            f"{100 * with_change.mean():7.1f} %{lead}"
        )
