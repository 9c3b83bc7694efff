"""The files that belong to a model which a user named."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.tflite.card import card_path


def model_files(model: str) -> list[Path]:
    """List the files of a model or ensemble, with their cards, whether or not they are there.

    Args:
        model: As `parse_model_spec` takes it.

    Returns:
        The files, that which was named first; none where it cannot be read.
    """
    with suppress(FerEdgeError):
        spec = parse_model_spec(model)
        names = read_ensemble(spec.path).members if spec.kind == "ensemble" else ()
        networks = [spec.path.parent / name for name in names] or [spec.path]
        return [spec.path, *networks, *map(card_path, networks)]
    return []
