"""Scores of several models on several threads, and a network in another process."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from predictions import CLASSES
from random_faces import random_faces

from fer_edge.benchmarks.fixtures.clips import PORTRAIT
from fer_edge.benchmarks.peer_process import open_peer
from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.benchmarks.scoring import BLOCK, Variant, open_networks, open_variants, scores, unchanged
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble import member_files, open_classifier

KEY = Path("network")


def first_pixels(faces: np.ndarray) -> np.ndarray:
    """A network whose logits are a face's first seven pixels."""
    return faces[:, 0, :7].astype(np.float32)


def numbered(faces: np.ndarray, first: int) -> np.ndarray:
    """The faces with their numbers in the first pixel."""
    changed = faces.copy()
    changed[:, 0, 0] = np.arange(first, first + len(faces))
    return changed


@pytest.mark.parametrize("workers", [1, 3])
def test_faces_stay_in_order_over_blocks_and_threads(workers: int) -> None:
    faces, variant = random_faces(2 * BLOCK + 5), Variant({}, (KEY,), lambda logits: logits[0])
    plain, changed = scores([variant], [{KEY: first_pixels}] * workers, faces, [unchanged, numbered], "test")
    assert np.array_equal(plain[0], first_pixels(faces))
    assert np.array_equal(changed[0], first_pixels(numbered(faces, 0)))


def test_an_error_of_one_thread_ends_all() -> None:
    def damaged(faces: np.ndarray) -> np.ndarray:
        raise ModelError("no numbers")

    variant = Variant({}, (KEY,), lambda logits: logits[0])
    networks = [{KEY: first_pixels}, {KEY: damaged}, {KEY: first_pixels}]
    with pytest.raises(ModelError, match="no numbers"):
        list(scores([variant], networks, random_faces(9 * BLOCK), [unchanged] * 5, "test"))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scoring")]


def test_models_that_share_a_network_run_it_once() -> None:
    (file,) = member_files("mobilenet_v2")
    _, variants = open_variants(["mobilenet_v2", str(file)], CLASSES)
    networks = open_networks(variants, CLASSES)
    assert len(variants) == 2 and list(networks) == [file]
    faces = random_faces(3)
    (both,) = scores(variants, [networks], faces, [unchanged], "test")
    assert all(np.array_equal(each, open_classifier("mobilenet_v2")(faces)) for each in both)


@pytest.mark.faults
def test_a_peer_that_has_died_is_one_line() -> None:
    with open_peer("mobilenet_v2", Path(sys.executable), PORTRAIT) as peer:
        os.kill(peer._process.pid, 9)
        peer._process.wait()
        for _ in range(2):
            with pytest.raises(ResultError, match="mobilenet_v2 failed in its environment: "):
                peer.request(do="classify", count=1)
