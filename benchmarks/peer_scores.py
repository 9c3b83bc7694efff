"""Scores of another package's network, which runs in an environment and a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.clips import PORTRAIT, write_clip
from fer_edge.benchmarks.peer_process import open_environment, open_peer
from fer_edge.benchmarks.peers import CLIP_SIZE, PACKAGES
from fer_edge.benchmarks.scoring import Network


class PeerScores(NamedTuple):
    """A package that classifies faces.

    Attributes:
        row: Its identity for a result file: name, what pip installed, versions.
        network: (N, 48, 48) uint8 faces to (N, C) float32 scores; one call at a time, whatever thread it comes from.
    """

    row: dict[str, Any]
    network: Network


@contextmanager
def open_peer_scores(name: str, environments: Path, classes: Sequence[str]) -> Iterator[PeerScores]:
    """Open a package's network; the first time its environment is made, which takes minutes.

    Args:
        name: One of `peers.PACKAGES`.
        environments: The folder of the packages' environments.
        classes: (C,) names of the classes, in the order of the scores.

    Yields:
        The package, until the block ends.

    Raises:
        ResultError: pip could not install the package, or it cannot be opened.
    """
    python = open_environment(environments / name, PACKAGES[name])
    with tempfile.TemporaryDirectory() as folder:
        clip, file = Path(folder) / "clip.avi", Path(folder) / "faces.npy"
        write_clip(clip, 1, 1, *CLIP_SIZE, PORTRAIT)  # the worker's first result is of a frame
        with open_peer(name, python, clip) as process:
            one_at_a_time = Lock()

            def network(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
                with one_at_a_time:
                    np.save(file, faces)
                    return process.scores(file, classes)

            versions = {each: process.started[each] for each in ("python", "packages")}
            yield PeerScores({"model": name, "package": ", ".join(PACKAGES[name]), **versions}, network)
