"""Scores of several models for changed versions of the same faces, on all cores.

The networks run once for each changed face, whichever models share them, and a block of faces is changed by the thread
that classifies it. Every thread has its own interpreters; OpenCV and the interpreters release Python's lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.results_io.record import identity
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import open_classifier, read_cascade
from fer_edge.edge.terminal import track
from fer_edge.train.data.class_order import class_order

Faces = NDArray[np.uint8]
Change = Callable[[Faces, int], Faces]
"""(N, 48, 48) faces and the number of the first to the changed faces."""

Network = Callable[[Faces], NDArray[np.float32]]
"""(N, 48, 48) faces to (N, C) logits, or whatever its variants fuse."""

BLOCK = 64
"""Faces that a thread takes at a time."""

workers_option = click.option(
    "--workers",
    type=IntRange(1, 256),
    default=lambda: os.cpu_count() or 1,
    show_default="all cores",
    metavar="N",
    help="Threads, each with the networks opened anew (15 MiB for the shipped ones); no figure depends on it.",
)
"""Add --workers, by default as many as there are cores."""


class Variant(NamedTuple):
    """A model, or an ensemble with early exit.

    Attributes:
        figures: Where its figures go: its row of the result, or the part of the row for early exit.
        members: Its networks, by the keys of `open_networks`.
        fuse: The networks' (M, N, C) logits to (N, C) scores.
    """

    figures: dict[str, Any]
    members: tuple[Path, ...]
    fuse: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def open_variants(specs: Sequence[str], classes: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[Variant]]:
    """Open models; an ensemble that can exit early is a second variant with early exit.

    Args:
        specs: Names or files of models.
        classes: (C,) the classes of the data, in whose order the scores come.

    Returns:
        A row with the identity of each model, "early_exit" in the rows that have it, and the variants that fill them.

    Raises:
        ModelError: A file is missing or altered, or a model has other classes.
    """
    rows, variants = [identity(spec) for spec in specs], []
    for spec, row in zip(specs, rows, strict=True):
        classifier = open_classifier(spec)
        class_order(classifier.classes, classes, spec)  # logs another order
        classifier.put_in_order(classes)
        members = tuple(member.path for member in classifier.members)
        variants.append(Variant(row, members, classifier.fuse))
        if cascade := read_cascade(spec):
            row["early_exit"] = {}
            early = classifier.cascade(cascade)
            variants.append(Variant(row["early_exit"], members, early.scores_from_logits))
    return rows, variants


def open_networks(variants: Sequence[Variant], classes: tuple[str, ...]) -> dict[Path, Network]:
    """Open the networks of the variants.

    Args:
        variants: The models, as `open_variants` has opened them.
        classes: (C,) the same classes.

    Returns:
        By file, each network once, with one thread.

    Raises:
        ModelError: A file is missing or altered.
    """
    networks: dict[Path, Network] = {}
    for path in dict.fromkeys(path for variant in variants for path in variant.members):
        member, _ = open_member(path)
        member.put_in_order(classes)
        networks[path] = member.logits
    return networks


def unchanged(faces: Faces, first: int) -> Faces:
    """The change that is none."""
    return faces


def scores(
    variants: Sequence[Variant],
    networks: Sequence[Mapping[Path, Network]],
    faces: Faces,
    changes: Sequence[Change],
    label: str,
) -> Iterator[list[NDArray[np.float32]]]:
    """Classify each changed version of the faces.

    Args:
        variants: The V models.
        networks: The networks of all variants, once for each thread that is to run.
        faces: (N, 48, 48) uint8 gray, N at least 1.
        changes: What is done to the faces.
        label: Of the progress bar.

    Yields:
        For each change in turn, the (N, C) scores of each variant.

    Raises:
        ModelError: A network gives no numbers.
    """
    idle: SimpleQueue[Mapping[Path, Network]] = SimpleQueue()
    for each in networks:
        idle.put(each)

    def run(change: Change, first: int) -> dict[Path, NDArray[np.float32]]:
        changed = change(faces[first : first + BLOCK], first)
        opened = idle.get()
        try:
            return {path: network(changed) for path, network in opened.items()}
        finally:
            idle.put(opened)

    pool = ThreadPoolExecutor(len(networks), "scoring")
    try:
        starts = range(0, len(faces), BLOCK)
        pending = [[pool.submit(run, change, first) for first in starts] for change in changes]
        for futures in track(pending, label, len(pending)):
            blocks = [future.result() for future in futures]
            futures.clear()  # the logits are no longer needed
            logits = {path: np.concatenate([block[path] for block in blocks]) for path in blocks[0]}
            yield [each.fuse(np.stack([logits[path] for path in each.members])) for each in variants]
    finally:
        pool.shutdown(cancel_futures=True)
