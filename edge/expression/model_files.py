"""The files that belong to a model which a user named."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.tflite.card import card_path


def model_sha256(model: str) -> str | None:
    """The sha256 of a model that a user named, to tell whether two devices have the same.

    Args:
        model: As `parse_model_spec` takes it.

    Returns:
        Of a .tflite file its own; of an ensemble that of its .json file and its networks one after another, in the
        order in which the file names them. None where a file cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for path in _files(model):
            whole.update(path.read_bytes())
    except (FerEdgeError, OSError):
        return None
    return whole.hexdigest()


def model_files(model: str) -> list[Path]:
    """List the files of a model or ensemble, with their cards, whether or not they are there.

    Args:
        model: As `parse_model_spec` takes it.

    Returns:
        The files, that which was named first; none where it cannot be read.
    """
    with suppress(FerEdgeError):
        first, *members = _files(model)
        networks = members or [first]
        return [first, *networks, *map(card_path, networks)]
    return []


def _files(model: str) -> list[Path]:
    """The file that a model's name stands for, and an ensemble's networks; raises ModelError."""
    spec = parse_model_spec(model)
    names = read_ensemble(spec.path).members if spec.kind == "ensemble" else ()
    return [spec.path, *(spec.path.parent / name for name in names)]
