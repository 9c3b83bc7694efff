"""The face networks that come with the package, and the check that their files are intact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ModelError
from fer_edge.models import FOLDER

YUNET = "yunet_int8.tflite"
"""The face detector."""

BLAZEFACE = "blazeface_short.tflite"
"""The network that finds the eyes of a detected face."""

FACE_MODELS = (YUNET, BLAZEFACE)

FACE_FOLDER = FOLDER / "face"
"""The folder of these files and of faces.json, which holds their sha256, source and licence."""


def verified_face_model(name: str, folder: Path = FACE_FOLDER) -> tuple[Path, dict[str, Any]]:
    """Check a face network against its sha256 in faces.json.

    Args:
        name: One of FACE_MODELS.
        folder: The folder of the file and of faces.json.

    Returns:
        The file's path and its entry in faces.json.

    Raises:
        ModelError: The file is missing or altered.
    """
    path = folder / name
    try:
        entry: dict[str, Any] = json.loads((folder / "faces.json").read_text("utf-8"))[name]
        expected = str(entry["sha256"])
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be checked ({error}); reinstall fer-edge") from None
    if actual != expected:
        raise ModelError(f"{path}: sha256 is {actual[:12]}…, expected {expected[:12]}…; reinstall fer-edge")
    return path, entry
