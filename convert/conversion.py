"""Conversion, from the float network to the verified .tflite file and its card, step by step."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.calibration_faces import calibration_faces
from fer_edge.convert.card_texts import CardTexts, card_texts
from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.convert.evaluator import PACKAGES, Evaluator, open_evaluator
from fer_edge.convert.finetune import finetune
from fer_edge.convert.float_network import FloatNetwork
from fer_edge.convert.fold import fold_input
from fer_edge.convert.graph import decompose
from fer_edge.convert.metadata import add_metadata
from fer_edge.convert.options import ConversionOptions, TuningOptions, VerificationOptions
from fer_edge.convert.student import prepare_student
from fer_edge.convert.tflite_export import export_float, export_int8, export_post_training
from fer_edge.edge.device.host_info import package_versions
from fer_edge.edge.device.version import git_revision
from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.tflite.card import UNKNOWN, ModelCard, card_path, read_card, write_model
from fer_edge.train.data.class_order import dataset_in_class_order, named
from fer_edge.train.data.splits import Dataset
from fer_edge.train.origin import UNSAID, OriginOptions, fingerprints

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Job:
    """A float network as it will be exported, and all that its exports need."""

    network: FloatNetwork
    dataset: Dataset
    conversion: ConversionOptions
    tuning: TuningOptions
    evaluator: Evaluator
    fingerprints: dict[str, str]
    texts: CardTexts

    @property
    def calibration(self) -> NDArray[np.uint8]:
        """(N, 48, 48) uint8 training faces to calibrate on, a share of them corrupted."""
        return calibration_faces(self.dataset.split("train"), self.conversion)


@dataclass(frozen=True)
class _Export:
    """A .tflite file before verification, and how it was made.

    Attributes:
        content: The file.
        kind: Of the file: that which was asked for, or `ptq` where `int8` cannot be.
        history: Fine-tuning's rows per epoch.
        post_training: Post-training quantization's figures, for comparison.
        refusal: Why the network cannot be fine-tuned; empty where it was, or was not to be.
    """

    content: bytes
    kind: str
    history: list[dict[str, float]] = field(default_factory=list)
    post_training: dict[str, Any] | None = None
    refusal: str = ""


def convert(
    network: FloatNetwork,
    dataset: Dataset,
    conversion: ConversionOptions,
    tuning: TuningOptions,
    verification: VerificationOptions,
    origin: OriginOptions = UNSAID,
) -> list[tuple[Path, ModelCard]]:
    """Convert a float network: quantize, export, verify and write a file for each kind that is chosen.

    Args:
        network: The float network; its weights are changed.
        dataset: Fine-tuning and calibration use its train split, verification its val split.
        conversion: The kinds of files, the folder for them, and how quantization is prepared.
        tuning: How the int8 network is fine-tuned.
        verification: What a file must show before it is written.
        origin: What the user says of data and licence.

    Returns:
        The files with their cards.

    Raises:
        ModelError: The data has other classes than the network, the network cannot be converted, or a file fails its
            verification; neither that file nor any that would have followed is written.
        DataError: The data set has no train or val split.
    """
    for kind in conversion.kinds:
        _check_path(conversion.out / f"{network.architecture}_{kind}.tflite", network)
    splits = {name: split for name, split in dataset.splits.items() if name != "test"}
    sha256s = fingerprints(splits)
    texts = card_texts(network.classes, network.training, sha256s, origin)
    dataset = dataset_in_class_order(dataset, network.classes, f"{network.path}")
    evaluator = open_evaluator(network, dataset, verification)
    job = _Job(as_exported(network, conversion), dataset, conversion, tuning, evaluator, sha256s, texts)
    return [_convert_kind(job, kind) for kind in conversion.kinds]


def _check_path(path: Path, network: FloatNetwork) -> None:
    """ModelError where there is a model of other classes, such as a shipped one."""
    if card_path(path).exists() and (classes := read_card(path).labels) != network.classes:
        raise ModelError(
            f"{path} is there with the classes {named(classes)}; {network.path} has {named(network.classes)}; give "
            "--out another folder"
        )


def as_exported(network: FloatNetwork, conversion: ConversionOptions) -> FloatNetwork:
    """Fold grayscale and upscaling into a network's first convolution, unless the options say not to.

    Args:
        network: The float network.
        conversion: Whether to fold.

    Returns:
        The network as it will be exported.

    Raises:
        ModelError: The network's first layers do not allow it.
    """
    if not conversion.fold or network.refusal or network.model.input_shape[3] == 1:
        return network
    try:
        return replace(network, model=fold_input(network.model))
    except ModelError as error:
        if not network.own:
            raise
        _logger.info(f"grayscale is not folded in: {str(error).removesuffix('; try --no-fold')}")
        return network


def _convert_kind(job: _Job, kind: str) -> tuple[Path, ModelCard]:
    """Export, verify and write one file."""
    export = _export(job, kind)
    kind = export.kind
    name = f"{job.network.architecture}_{kind}"
    content = add_metadata(export.content, name, job.network.classes, job.texts.licence)
    accuracy, operators = job.evaluator.accuracy(name, kind, content, export.post_training)
    path = job.conversion.out / f"{name}.tflite"
    card = ModelCard(
        name=name,
        architecture=job.network.architecture,
        sha256=hashlib.sha256(content).hexdigest(),
        labels=job.network.classes,
        colour="gray" if job.network.model.input_shape[3] == 1 else "gray replicated to RGB",
        quantization=kind,
        accuracy=accuracy,
        training=_training_record(job),
        conversion=_conversion_record(job, export, operators, len(content)),
        licence=job.texts.licence,
        intended_use=job.texts.intended_use,
        limits=job.texts.limits,
        git_revision=git_revision() or UNKNOWN,
        date=time.strftime("%Y-%m-%d"),
    )
    write_model(path, content, card)
    if path.with_suffix(".onnx").exists():
        _logger.warning(
            f"{path.with_suffix('.onnx')} is of the previous file; 'fer-edge models onnx {path}' makes it again"
        )
    return path, card


def _export(job: _Job, kind: str) -> _Export:
    """Make the file of one kind."""
    faces, model = job.calibration, job.network.model
    refusal = ""
    if kind == "int8":
        try:
            return _quantize(job, faces)
        except _NotTrainable as error:
            kind, refusal = "ptq", str(error)
            _logger.warning(f"no quantization-aware fine-tuning: {refusal}; quantizing after training instead (PTQ)")
    if kind == "ptq":
        _logger.info(f"calibrating on {len(faces)} faces")
        return _Export(export_post_training(model, faces), kind, refusal=refusal)
    return _Export(export_float(model, kind), kind)


class _NotTrainable(Exception):
    """A network of the user's own has no fake-quantized form; the text says which layer and why."""


def _check_trainable(network: FloatNetwork) -> None:
    """_NotTrainable where a network of the user's own has a layer without a rule, or cannot be rebuilt at all."""
    if network.refusal:
        raise _NotTrainable(network.refusal)
    try:
        decompose(network.model)
    except ModelError as error:
        raise _NotTrainable(f"{str(error).partition('; expected')[0]}, for which it has no rule") from None
    except Exception as error:  # a graph that no one thought of, such as one with a layer that is called twice
        raise _NotTrainable(shortened(f"{type(error).__name__}: {error}", 200)) from None


def _quantize(job: _Job, faces: NDArray[np.uint8]) -> _Export:
    """Equalize, calibrate, fine-tune and export; _NotTrainable where the network has no fake-quantized form."""
    if job.network.own:
        _check_trainable(job.network)
    post_training = job.evaluator.post_training(job.network.model, faces)  # before it is equalized
    student, teacher = prepare_student(job.network.model, faces)
    checkpoint = Checkpoint(job.network.companion("finetuned.npz"), job.network.sha256)
    if job.tuning.resume:
        checkpoint.restore(student)
    history = finetune(student, teacher, job.dataset, job.tuning, checkpoint, job.conversion)
    _logger.info("exporting to TFLite (a minute or two)")
    return _Export(export_int8(student), "int8", history, post_training)


def _training_record(job: _Job) -> dict[str, Any]:
    """The card's entry `training`: how the float network was trained, and on which data the conversion ran."""
    about = {key: value for key, value in job.network.training.items() if key != "licence"}  # has a field of its own
    return about | {"data_name": job.texts.data_name, "fingerprints": job.fingerprints}


def _conversion_record(job: _Job, export: _Export, operators: dict[str, int], size: int) -> dict[str, Any]:
    """The card's entry `conversion`."""
    kind = export.kind
    record: dict[str, Any] = {"from": job.network.path.name, "kind": kind, "operators": operators, "bytes": size}
    if kind in ("int8", "ptq"):
        thresholds = {name: getattr(job.evaluator.options, name) for name in ("min_agreement", "max_drop")}
        sample = {name: getattr(job.conversion, name) for name in ("calibration_samples", "corruption")}
        record |= sample | {"thresholds": thresholds}
    if kind == "int8":
        tuning = asdict(job.tuning)
        record |= {"resumed": tuning.pop("resume"), "tuning": tuning | {"seed": job.conversion.seed}}
        record["history"] = export.history
    if export.refusal:
        record["not_fine_tuned"] = export.refusal
    return record | {"versions": package_versions(PACKAGES)}
