"""What can be made of a .tflite file that is there: the same with its labels, and its ONNX twin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.metadata import labelled
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.files import write_bytes
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.tflite.card import ModelCard, card_path, checked_card, sha256, write_card


def label(model: Path, out: Path) -> Path:
    """Write the file with its metadata and labels, and its card with the new sha256; where it lies now.

    Raises ModelError where it is no classifier of ours, carries other labels, or is not what its card describes.
    """
    card = _card(model)
    TFLiteClassifier(model)
    target = out / model.name
    write_bytes(target, labelled(model.read_bytes(), model.stem, _licence(card)))
    if card:
        size = {"bytes": target.stat().st_size} if "bytes" in card.conversion else {}
        write_card(target, replace(card, sha256=sha256(target), conversion=card.conversion | size))
    return target


def write_onnx(model: Path, faces: NDArray[np.uint8], out: Path) -> tuple[Path, dict[str, Any]]:
    """Make ONNX, check it on the faces, write it and note it in the card; where it lies and what was found.

    The card is left alone where the ONNX file does not lie beside it.
    """
    from fer_edge.convert import onnx  # needs the extra of that name

    card = _card(model)
    TFLiteClassifier(model)
    content = onnx.onnx_bytes(model, _licence(card))
    path = out / f"{model.stem}.onnx"
    found = {"file": path.name, **onnx.check(content, model, faces)}
    write_bytes(path, content)
    if card and out.resolve() == model.parent.resolve():
        write_card(model, replace(card, conversion=card.conversion | {"onnx": found}))
    return path, found


def sample(faces: NDArray[np.uint8], count: int = 500) -> NDArray[np.uint8]:
    """About so many of the faces, evenly spread."""
    return faces[:: max(1, len(faces) // count)]


def made_faces(count: int = 100) -> NDArray[np.uint8]:
    """(count, 48, 48) uint8 soft patterns, to compare two runtimes on where no data set is at hand."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 6, 6), np.uint8)
    return np.stack([cv2.resize(each, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC) for each in coarse])


def _card(model: Path) -> ModelCard | None:
    """The checked card, None where the file has none."""
    return checked_card(model) if card_path(model).exists() else None


def _licence(card: ModelCard | None) -> str:
    return card.licence if card else ModelCard.licence
