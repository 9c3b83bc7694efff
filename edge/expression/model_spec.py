"""Which model a user means by a name, a file or a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.models import FOLDER

MODEL_NAMES = ("mobilenet_v2", "se_mobilenet_v2", "efficientnet_b0", "mobilenet_v2_small")
"""The models for devices; their architectures in `train` have the same names. Those with a file are shipped."""

ENSEMBLE_NAME, ENSEMBLE_FILE = "ensemble", FOLDER / "ensemble.json"
"""The shipped ensemble of some of them, which its file names."""

ModelKind = Literal["ensemble", "tflite", "keras", "npz"]

DEVICE_KINDS: tuple[ModelKind, ...] = ("ensemble", "tflite")
FLOAT_KINDS: tuple[ModelKind, ...] = ("keras", "npz")

_FILE_TYPES: dict[ModelKind, str] = {
    "ensemble": "an ensemble's .json file",
    "tflite": "a .tflite file",
    "keras": "a .keras or .h5 file",
    "npz": "a .npz file of weights",
}
_SUFFIXES: dict[str, ModelKind] = {
    ".json": "ensemble",
    ".tflite": "tflite",
    ".keras": "keras",
    ".h5": "keras",
    ".npz": "npz",
}
_RUN_FILES = ("float.keras", "float.npz")


@dataclass(frozen=True)
class ModelSpec:
    """A model that a user named.

    Attributes:
        text: What the user wrote.
        kind: What the file holds: an ensemble of .tflite files, one .tflite model, or a float network as a Keras file
            or as weights alone.
        path: The file; it need not exist.
    """

    text: str
    kind: ModelKind
    path: Path


def parse_model_spec(text: str, accept: Sequence[ModelKind] = DEVICE_KINDS, runs: Path | None = None) -> ModelSpec:
    """Find out which model a name or path stands for, without opening it.

    Args:
        text: A shipped model's name, a .tflite, ensemble .json, .keras or .npz file, or the folder of a training run.
        accept: The kinds that the caller can use.
        runs: The folder of training runs, in which a model's name then stands for a run.

    Returns:
        The model's kind and file; of a run folder, the float network in it.

    Raises:
        ModelError: The text names no model, or one of another kind; the message lists what is accepted.
    """
    spec = _parse(text, accept, runs)
    if spec is None:
        raise ModelError(f"unknown model '{shortened(text)}'; expected {_expected(accept, runs)}")
    if spec.kind not in accept:
        raise ModelError(f"{spec.path} is {_FILE_TYPES[spec.kind]}; expected {_expected(accept, runs)}")
    return spec


def shipped_models() -> list[ModelSpec]:
    """The .tflite models in the package's models/, by file name."""
    names = {_shipped_file(name): name for name in MODEL_NAMES}
    return [ModelSpec(names.get(path, str(path)), "tflite", path) for path in sorted(FOLDER.glob("*.tflite"))]


def _parse(text: str, accept: Sequence[ModelKind], runs: Path | None) -> ModelSpec | None:
    path = Path(text)
    if text == ENSEMBLE_NAME and "ensemble" in accept:
        return ModelSpec(text, "ensemble", ENSEMBLE_FILE)
    if text in MODEL_NAMES and runs is not None:
        path = _run_file(runs / text)
    elif text in MODEL_NAMES and "tflite" in accept:
        path = _shipped_file(text)
    elif os.path.isdir(path):  # False, not an error, for a name that the system refuses
        path = _run_file(path)
    elif runs is not None and os.path.isdir(runs / text):
        path = _run_file(runs / text)
    kind = _SUFFIXES.get(path.suffix)
    return None if kind is None else ModelSpec(text, kind, path)


def _shipped_file(name: str) -> Path:
    return FOLDER / f"{name}_int8.tflite"


def _run_file(run: Path) -> Path:
    """The float network in a run folder: the Keras file, or the weights alone where only they were kept."""
    return next((run / name for name in _RUN_FILES if (run / name).is_file()), run / _RUN_FILES[0])


def _expected(accept: Sequence[ModelKind], runs: Path | None) -> str:
    """A list of what is accepted, in words."""
    names: list[str] = [ENSEMBLE_NAME] if "ensemble" in accept else []
    if runs is not None:
        names += [f"{', '.join(MODEL_NAMES)} for its run in {runs}"]
    elif "tflite" in accept:
        names += MODEL_NAMES
    if "keras" in accept:
        names.append("a run folder")
    *others, last = [*names, *(_FILE_TYPES[kind] for kind in accept)]
    return f"{', '.join(others)} or {last}" if others else last
