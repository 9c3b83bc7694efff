"""What the results in a folder were made from: settings, models and inputs, so that nothing else is added to them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_edge.edge.commands.archive.chunks import Chunk
from fer_edge.edge.commands.archive.inputs import Input
from fer_edge.edge.commands.archive.processor import Settings
from fer_edge.edge.device.version import package_version
from fer_edge.edge.errors import SinkError, shortened
from fer_edge.edge.expression.model_files import model_files
from fer_edge.edge.faces.face_models import FACE_FOLDER, FACE_MODELS
from fer_edge.edge.files.documents import read_json
from fer_edge.edge.tflite.card import sha256

NAME = "_manifest.json"
"""Its name in the folder: what begins with _ or . is no data to Arrow, Spark, DuckDB and Hive."""

_WITHOUT_EFFECT = ("threads", "model", "detect_every", "motion_gate", "smooth", "cache_threshold", "latency_budget")
"""Fields of `PipelineOptions` that single pictures do not depend on; models are compared by their sha256."""


def make_manifest(
    settings: Settings, inputs: Sequence[Input], chunks: Sequence[Chunk], classes: Sequence[str], form: str
) -> dict[str, Any]:
    """Describe a run: the same for each of its shards, and whoever works on it.

    Args:
        settings: How the inputs are processed.
        inputs: All inputs, of all shards.
        chunks: All chunks.
        classes: (C,) names of the model's classes.
        form: The format of the parts.

    Returns:
        The manifest, as JSON has it.

    Raises:
        OSError: A model cannot be read.
    """
    pipeline = {key: value for key, value in asdict(settings.pipeline).items() if key not in _WITHOUT_EFFECT}
    own = {key: value for key, value in asdict(settings).items() if key != "pipeline"}
    return {
        "version": package_version(),
        "format": form,
        "classes": [*classes],
        "settings": pipeline | own,
        "models": model_sha256s(settings),
        "inputs": {"count": len(inputs), "sha256": fingerprint(inputs)},
        "parts": {"count": len(chunks), "inputs": max((len(chunk.inputs) for chunk in chunks), default=0)},
    }


def model_sha256s(settings: Settings) -> dict[str, str]:
    """The sha256 of all files of all models, by their names; OSError where one cannot be read."""
    files = [path for path in model_files(settings.pipeline.model) if path.suffix != ".json" or path.is_file()]
    faces = [] if settings.faces_cropped else [FACE_FOLDER / name for name in FACE_MODELS]
    return {path.name: sha256(path) for path in [*files, *faces]}


def fingerprint(inputs: Sequence[Input]) -> str:
    """The sha256 of all inputs' names and kinds in their order, in hexadecimal; nothing is read for it."""
    digest = hashlib.sha256()
    for each in inputs:
        digest.update(os.fsencode(each.name) + b"\0" + each.kind.encode() + b"\0")
    return digest.hexdigest()


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest; None where there is none. Raises SinkError where it cannot be read."""
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SinkError(f"{path} cannot be read: {error}; give another name for the results") from None
    if not isinstance(manifest, dict):
        raise SinkError(f"{path} is no manifest of fer-edge predict; give another name for the results")
    return manifest


def refuse_difference(results: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that results may be added to those of an earlier run.

    Args:
        results: Option and name of the results, for the error.
        before: Their manifest.
        now: The one of this run.

    Raises:
        SinkError: They differ; the message says in what.
    """
    old, new = _flat(before), _flat(now)
    for key in new | old:
        if old.get(key) == new.get(key):
            continue
        if key == "inputs sha256":
            what = "the list of inputs is another one"
        else:
            what = f"{key} was {shortened(str(old.get(key)))} and is {shortened(str(new.get(key)))}"
        raise SinkError(f"{results} holds results of another run: {what}; give another name")


def _flat(manifest: dict[str, Any]) -> dict[str, Any]:
    """Its values by "key" and "key key"."""
    flat: dict[str, Any] = {}
    for key, value in manifest.items():
        if isinstance(value, dict):
            flat |= {f"{key} {inner}": each for inner, each in value.items()}
        else:
            flat[key] = value
    return flat
