"""Faces that are mapped into memory from a file: the same as in memory, and data larger than memory can be read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.train.batches import augmented_batches
from fer_edge.train.data import mapped
from fer_edge.train.data.loading import load
from fer_edge.train.data.mapped import FACE_BYTES, FaceCollector, mapped_rows
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import SoftTargets, training_set

COUNT = 3000
USAGES = ("Training", "PublicTest")


@pytest.fixture(scope="module")
def faces() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 48, 48), np.uint8)


@pytest.fixture
def csv(tmp_path: Path, faces: NDArray[np.uint8]) -> Path:
    """Rows of both splits in turn."""
    path = tmp_path / "fer2013.csv"
    with path.open("w") as stream:
        stream.write("emotion,pixels,Usage\n")
        for index, face in enumerate(faces):
            stream.write(f"{index % 7},{' '.join(map(str, face.ravel().tolist()))},{USAGES[index % 2]}\n")
    return path


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MEMORY_BYTES", 100 * FACE_BYTES)


def test_training_works_from_mapped_faces(csv: Path, faces: NDArray[np.uint8], little: None) -> None:
    tracemalloc.start()
    train = load(csv).split("train")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(train.faces, np.memmap) and not train.faces.flags.writeable
    assert peak < COUNT * FACE_BYTES / 3
    held = Split(faces[::2].copy(), train.labels, train.classes)
    assert fingerprint(train) == fingerprint(held)
    recipe = Recipe(batch_size=50, conflicts="drop", folds=5)
    sets = [training_set(split, recipe, SoftTargets()) for split in (train, held)]
    assert isinstance(sets[0].faces, np.memmap) and len(sets[0]) == 1200
    for one, other in zip(*(augmented_batches(each, 48, recipe, 1) for each in sets), strict=True):
        assert np.array_equal(one.views, other.views) and np.array_equal(one.targets, other.targets)


def test_the_faces_outlive_the_files(csv: Path, faces: NDArray[np.uint8], little: None) -> None:
    part = load(csv, val_share=None).split("train")
    mask = np.arange(len(part)) % 3 > 0
    some = part.rows(mask)
    for path in csv.parent.iterdir():
        path.unlink()
    assert isinstance(some.faces, np.memmap) and np.array_equal(some.faces, faces[::2][mask])
    assert np.array_equal(part.faces, faces[::2])
    assert mapped_rows(part.faces, np.ones(len(part), bool)) is part.faces
    again = some.rows(np.arange(len(some)) < 500)  # the folder of their file is not known, and may be gone
    assert isinstance(again.faces, np.memmap) and np.array_equal(again.faces, faces[::2][mask][:500])


@pytest.mark.faults
def test_a_full_disk_is_one_line(little: None) -> None:
    with FaceCollector() as collector:
        collector.add(np.zeros((100, 48, 48), np.uint8))
        collector.faces()
        with open("/dev/full", "wb", buffering=0) as full:
            collector._stream = full
            with pytest.raises(SinkError, match="No space left"):
                collector.add(np.zeros((1, 48, 48), np.uint8))


def test_too_many_pictures_are_not_compared(
    faces: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    from fer_edge.train.data import duplicates

    monkeypatch.setattr(duplicates, "MOST_COMPARED", 99)
    split = Split(np.concatenate([faces[:9], faces[:1]]), np.zeros(10, np.int64), ("a", "b"))
    assert duplicates.photograph_groups(split).tolist() == [*range(9), 0]
    assert duplicates.overlap(split, split).exact.all()
    assert any("10 pictures are too many" in message for message in messages)
