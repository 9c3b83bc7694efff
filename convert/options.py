"""What `fer-edge convert` and the `fer-edge models` commands for network authors may set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option

KINDS = ("ptq", "float32", "float16", "dynamic")
"""Exports other than the fine-tuned int8 file, which is made where none of them is chosen."""


LARGEST_SEED = 2**32 - 1
"""Largest seed of numpy's and Keras's generators."""


@dataclass(frozen=True)
class ConversionOptions:
    """What to export from a float network, and how its quantization is prepared."""

    out: Path = option(Path("models"), "Folder for the model and its card.", metavar="FOLDER")
    ptq: bool = option(False, "Quantize after training only (PTQ), without fine-tuning.")
    float32: bool = option(False, "Export in float32, for comparison (instead of int8).")
    float16: bool = option(False, "Export with half-precision weights (instead of int8).")
    dynamic: bool = option(False, "Export with int8 weights and float activations (instead of int8).")
    fold: bool = option(True, "Fold grayscale and upscaling into the first convolution.")
    calibration_samples: int = option(
        512, "Training faces to calibrate ranges on.", metavar="N", minimum=1, maximum=1_000_000
    )
    corruption: float = option(
        0.3,
        "Share of faces corrupted as by a camera, in calibration and fine-tuning.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
    )
    seed: int = option(
        1,
        "Random seed of calibration sample, shuffling and augmentation.",
        metavar="N",
        minimum=0,
        maximum=LARGEST_SEED,
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The exports to make: `int8`, or those of KINDS that are chosen."""
        return tuple(kind for kind in KINDS if getattr(self, kind)) or ("int8",)


@dataclass(frozen=True)
class TuningOptions:
    """How long and how the fake-quantized network is fine-tuned."""

    epochs: int = option(1, "Epochs of quantization-aware fine-tuning.", metavar="N", minimum=0)
    # a short ramp, then half a cosine to 0
    learning_rate: float = option(
        1e-4, "Peak learning rate (Adam).", metavar="RATE", minimum=0, maximum=1, open_minimum=True
    )
    batch_size: int = option(64, "Faces per step.", metavar="N", minimum=1, maximum=65_536)
    steps_per_epoch: int | None = option(
        None,
        "Maximum number of steps per epoch.",
        metavar="N",
        minimum=1,
        show_default="the whole train split",
        example=500,
    )
    distill: float = option(
        0.7,
        "Weight of the distillation loss (divergence from the float model), 0 to 1.",
        metavar="WEIGHT",
        minimum=0,
        maximum=1,
    )
    label_smoothing: float = option(0.1, "Share of a label spread over all classes.", minimum=0, maximum=1, cli=False)
    resume: bool = option(False, "Start from the best weights of the last fine-tuning of this network.")


@dataclass(frozen=True)
class VerificationOptions:
    """What a file must show before it is written, and where it is run."""

    min_agreement: float = option(
        0.85, "Minimum top-1 agreement with the float model, 0 to 1.", metavar="SHARE", minimum=0, maximum=1
    )
    max_drop: float = option(
        1.0,
        "Maximum accuracy drop on the val split, percentage points; of few pictures two standard errors, if more.",
        metavar="POINTS",
    )
    tflite_runtime_python: Path | None = option(
        None,
        "Python interpreter with tflite-runtime and numpy < 2, to verify in that runtime too.",
        metavar="PATH",
        envvar="FER_EDGE_TFLITE_PYTHON",
        show_default=".venv-tflite/bin/python if present",
        example=".venv-tflite/bin/python",
    )


@dataclass(frozen=True)
class FaceDetectorOptions:
    """How the face detector is calibrated, and on how many pictures it is verified."""

    out: Path = option(Path("models/face"), "Folder for the model and faces.json.", metavar="FOLDER")
    pictures: Path | None = option(
        None,
        "Folder of photographs to verify on too, each at several sizes.",
        metavar="FOLDER",
        show_default="the portrait alone",
        example="photographs",
    )
    calibration_scenes: int = option(200, "Composed scenes to calibrate on.", metavar="N", minimum=1, maximum=100_000)
    verification_scenes: int = option(300, "Composed scenes to verify on.", metavar="N", minimum=1, maximum=100_000)
    seed: int = option(1, "Random seed of the scenes.", metavar="N", minimum=0, maximum=LARGEST_SEED)


@dataclass(frozen=True)
class FaceVerificationOptions:
    """What the int8 face detector must show before it is written, compared with the float original."""

    min_found: float = option(0.97, "Minimum share of its faces that are found.", metavar="SHARE", minimum=0, maximum=1)
    max_extra: float = option(0.03, "Maximum number of further faces, as a share of its faces.", metavar="SHARE")
    min_iou: float = option(
        0.95, "Minimum mean IoU (intersection over union) of boxes.", metavar="IOU", minimum=0, maximum=1
    )
    max_eye_error: float = option(0.03, "Maximum mean distance of the eyes, face widths.", metavar="WIDTHS")
