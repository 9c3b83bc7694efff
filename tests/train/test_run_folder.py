"""Writing a run folder on a full disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import pytest

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.locks import FolderLock
from fer_edge.train.run_folder import save_model

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB: writing fails as on a full disk, with another errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_full_disk_is_one_line(full_disk: None, tmp_path: Path, suffix: str) -> None:
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(200)])
    with pytest.raises(SinkError, match="cannot be written") as caught:
        save_model(model, tmp_path / f"float.{suffix}", ("a", "b"))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.faults
@pytest.mark.parametrize("resume", [True, False])
def test_two_trainings_never_share_a_run_folder(
    resume: bool, synthetic_csv: Path, tmp_path: Path, mistake: Callable[..., str]
) -> None:
    folder = tmp_path / "mobilenet_v2"
    folder.mkdir()
    words = ["train", "mobilenet_v2", "--data", synthetic_csv, "--weights", "none", "--runs", tmp_path]
    with FolderLock(folder):
        line = mistake(*words, *(["--resume"] if resume else []))
    assert (
        line
        == f"fer-edge: {folder} is in use by another fer-edge process; wait for it, or choose another --runs folder"
    )
    assert not list(folder.iterdir())
