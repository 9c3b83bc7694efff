"""What a network was trained on, and under which licence it is: what the user said, or what the data shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.files.documents import read_json
from fer_edge.edge.tflite.card import UNKNOWN
from fer_edge.edge.types import option
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import Split, fingerprint

FER2013 = "FER2013"

FER2013_TRAINING = "2a42688fbce71d5e579479a9c28c18d133039012a5b3598b14c8a19c603e8468"

_KNOWN = {
    FER2013_TRAINING: FER2013,
    "e7552f8617c801aa80e8e3e444452daae4b6e87f3ff13d5f1f46743c9c61ec8d": "FER2013 with FER+'s labels",
}
"""Data sets by the fingerprint of their train split, whatever their files are called: the official CSV's Training rows,
and those of them that `--ferplus-labels` keeps."""


@dataclass(frozen=True)
class OriginOptions:
    """What only the user can know about data and model.

    Attributes:
        data_name: The name of the data set; None where nobody says it.
        license: The licence of the model file, in words; None where nobody says it.
    """

    data_name: str | None = option(
        None,
        "Name of the data set, for the model's card.",
        metavar="NAME",
        show_default="FER2013 for its official CSV, else unknown",
        example="drowsiness at our gate, 2026",
    )
    license: str | None = option(
        None,
        "Licence of the model, for its card.",
        metavar="TEXT",
        show_default="unknown, but for FER2013",
        example="CC-BY-4.0",
    )


UNSAID = OriginOptions()
"""Where the user says nothing."""


def known_name(fingerprints: Mapping[str, str]) -> str | None:
    """The name of the data set with these sha256 by split; None where it is not known."""
    return _KNOWN.get(fingerprints.get("train", ""))


def weights_data(weights: str) -> str | None:
    """The data set that initial weights were fitted on, as far as it is known; None for ImageNet's and for no weights.

    Args:
        weights: 'imagenet', 'none' or a file. Weights beside a metrics.json have its data set; those that name no
            classes are from before classes were stored, as the shipped ones, and have FER2013.
    """
    path = Path(weights)
    model = path.suffix in (".keras", ".h5") and not weights.endswith(".weights.h5")  # a whole one, of --from-keras
    if path.suffix != ".npz" and not model:
        return None
    try:
        return str(read_json(path.with_name("metrics.json"))["data_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN if model or "classes" in read_arrays(path, "weights that training wrote") else FER2013


def fingerprints(splits: Mapping[str, Split]) -> dict[str, str]:
    """The sha256 of each split, by name."""
    return {name: fingerprint(split) for name, split in splits.items()}
