"""One conversion from float network to verified file and card, in the order things happen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert import verify
from fer_edge.convert.equalize import equalize
from fer_edge.convert.evaluator import PACKAGES, Judge
from fer_edge.convert.export import export_float, export_int8, export_post_training
from fer_edge.convert.finetune import Tuning, finetune
from fer_edge.convert.float_network import Source
from fer_edge.convert.fold import folded
from fer_edge.convert.graph import unfold
from fer_edge.convert.metadata import labelled
from fer_edge.convert.quantization import fake_quantized
from fer_edge.convert.ranges import calibrate
from fer_edge.convert.sensitivity import sensitivity, table, write_table
from fer_edge.convert.tflite_file import sample, write_onnx
from fer_edge.edge.device.host_info import package_versions
from fer_edge.edge.device.version import git_revision
from fer_edge.edge.errors import ModelError
from fer_edge.edge.files import write_bytes
from fer_edge.edge.tflite.card import ModelCard, checked_card, read_card, write_card
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.data.splits import Dataset, Split, fingerprint
from fer_edge.train.loop import predict_logits

SUFFIX = {"int8": "int8", "ptq": "ptq", "float32": "float32", "float16": "float16", "dynamic": "dynamic"}


@dataclass(frozen=True)
class Job:
    """What to make of a source. kinds: of int8, ptq, float32, float16, dynamic. limit: faces to calibrate on.

    fold: make a graph of the 48-px gray face, the upscaling in its first convolution (see fold.py).
    other_python: an interpreter with tflite-runtime, verified in too. resume: start from the last fine-tuning's best.
    onnx: an ONNX file of each, too.
    """

    kinds: tuple[str, ...] = ("int8",)
    tuning: Tuning = field(default_factory=Tuning)
    limit: int = 512
    limits: verify.Limits = field(default_factory=verify.Limits)
    fold: bool = True
    other_python: Path | None = None
    resume: bool = False
    onnx: bool = False


def convert(
    source: Source,
    data: Dataset,
    job: Job,
    out: Path,
    *,
    echo: Callable[[str], None] = print,
) -> list[tuple[Path, ModelCard]]:
    """Make, verify and write every kind in turn; ModelError at the first that fails, which is then not written."""
    train, val = data.split("train"), data.split("val")
    judge, source = _judge(source, val, job, echo), _as_exported(source, job)
    chosen = representative(train, job.limit, job.tuning.seed)
    written = []
    for kind in job.kinds:
        history: list[dict[str, float]] = []
        post_training = None
        if kind == "int8":
            post_training = judge.post_training(source.model, chosen)
            content, history = _quantized(source, train, val, chosen, job, out, echo)
        elif kind == "ptq":
            echo(f"calibrating on {len(chosen)} faces")
            content = export_post_training(source.model, chosen)
        else:
            content = export_float(source.model, kind)
        name = f"{source.name}_{SUFFIX[kind]}"
        content = labelled(content, name)
        figures, ops = judge.accuracy(name, kind, content, post_training)
        path, card = _write(out / f"{name}.tflite", kind, content, source, data, job, figures, ops, history)
        if (older := path.with_suffix(".onnx")).exists() and not job.onnx:
            echo(f"{older} is of the file before: make it anew with --onnx")
        if job.onnx:
            echo("making ONNX (a minute or two)")
            write_onnx(path, sample(val.faces), out)
            card = read_card(path)
        written.append((path, card))
    return written


def measure(
    model: Path, source: Source, data: Dataset, job: Job, *, echo: Callable[[str], None] = print
) -> tuple[Path, ModelCard]:
    """Measure an int8 file anew beside its float network; write what was found, and nothing else, into its card.

    ModelError where the file is not what its card describes, is of another network, or is outside the limits.
    """
    card = checked_card(model)
    if (card.architecture, card.quantization) != (source.name, "int8"):
        raise ModelError(
            f"{model} is {card.quantization} of {card.architecture}; expected int8 of {source.name}, like {source.path}"
        )
    judge = _judge(source, data.split("val"), job, echo)
    chosen = representative(data.split("train"), job.limit, job.tuning.seed)
    post_training = judge.post_training(_as_exported(source, job).model, chosen)
    figures, _ = judge.accuracy(model.stem, "int8", model.read_bytes(), post_training)
    card = replace(card, accuracy=figures)
    write_card(model, card)
    return model, card


def _judge(source: Source, val: Split, job: Job, echo: Callable[[str], None]) -> Judge:
    if job.other_python:
        verify.check_other_runtime(job.other_python)  # now, not after hours of fine-tuning
    reference = predict_logits(source.model, val.faces)
    echo(f"{source.name}: float accuracy on val {np.mean(reference.argmax(axis=1) == val.labels):.4f}")
    return Judge(val, reference, job.limits, job.other_python, echo)


def _quantized(
    source: Source,
    train: Split,
    val: Split,
    chosen: NDArray[np.uint8],
    job: Job,
    out: Path,
    echo: Callable[[str], None],
) -> tuple[bytes, list[dict[str, float]]]:
    """Equalize, calibrate, fine-tune, export."""
    student, teacher = _prepared(source, chosen, echo)
    checkpoint = _beside(source, "finetuned.npz")
    if job.resume:
        _resume(student, checkpoint, source.digest, echo)
    history = finetune(student, teacher, train, val, job.tuning, checkpoint, source.digest, echo=echo)
    echo("exporting to TFLite (a minute or two)")
    return export_int8(student), history


def _prepared(source: Source, chosen: NDArray[np.uint8], echo: Callable[[str], None]) -> tuple[Any, Any]:
    """The fake-quantized student, not yet fine-tuned, and its float teacher."""
    echo(f"equalized {equalize(source.model)} convolutions; measuring ranges on {len(chosen)} faces")
    teacher = unfold(source.model)
    return fake_quantized(teacher, calibrate(teacher, chosen)), teacher


def debug(
    source: Source,
    data: Dataset,
    job: Job,
    *,
    echo: Callable[[str], None] = print,
) -> tuple[Path, str]:
    """Measure what each int8 tensor costs before fine-tuning (with job.resume: after); the CSV's path and a table."""
    train = data.split("train")
    source = _as_exported(source, job)
    student, _ = _prepared(source, representative(train, job.limit, job.tuning.seed), echo)
    if job.resume:
        _resume(student, _beside(source, "finetuned.npz"), source.digest, echo)
    together, costs = sensitivity(student, representative(train, 256, job.tuning.seed + 1))
    path = _beside(source, "sensitivity.csv")
    write_table(path, costs)
    return path, table(together, costs)


def _beside(source: Source, what: str) -> Path:
    """Where something about a source is kept: each file of a folder has its own."""
    return source.path.with_name(f"{source.path.stem}_{what}")


def _as_exported(source: Source, job: Job) -> Source:
    """The network as it will be exported: with gray and upscaling folded into its first convolution, if wanted."""
    return replace(source, model=folded(source.model)) if job.fold else source


def _resume(student: Any, checkpoint: Path, origin: str, echo: Callable[[str], None]) -> None:
    """Put the best weights and ranges of an earlier fine-tuning into the student; ModelError where they do not fit.

    origin: the float file's sha256, from which that one must have begun, too.
    """
    arrays = read_arrays(checkpoint, "an earlier fine-tuning; convert without --resume")
    try:
        if str(arrays.pop("origin", "")) != origin:
            raise ValueError("it began from other weights")
        student.set_weights([arrays[name] for name in sorted(arrays)])
    except ValueError as error:
        what = str(error).splitlines()[0][:120]
        raise ModelError(f"{checkpoint} is no fine-tuning of this network: {what}; convert without --resume") from None
    echo(f"going on from {checkpoint}")


def _write(
    path: Path,
    kind: str,
    content: bytes,
    source: Source,
    data: Dataset,
    job: Job,
    figures: dict[str, Any],
    ops: dict[str, int],
    history: list[dict[str, float]],
) -> tuple[Path, ModelCard]:
    conversion: dict[str, Any] = {"from": source.path.name, "kind": kind, "operators": ops, "bytes": len(content)}
    if kind in ("int8", "ptq"):
        conversion |= {"calibration_faces": job.limit, "limits": asdict(job.limits)}
    if kind == "int8":
        conversion |= {"resumed": job.resume, "tuning": asdict(job.tuning), "history": history}
    conversion["versions"] = package_versions(PACKAGES)
    card = ModelCard(
        name=path.stem,
        architecture=source.name,
        sha256=hashlib.sha256(content).hexdigest(),
        colour="gray" if job.fold else "gray replicated to RGB",
        quantization=kind,
        accuracy=figures,
        training=source.training
        | {"fingerprints": {split: fingerprint(part) for split, part in data.splits.items() if split != "test"}},
        conversion=conversion,
        git_revision=git_revision() or "unknown",
        date=time.strftime("%Y-%m-%d"),
    )
    write_bytes(path, content)
    write_card(path, card)
    return path, card


def representative(train: Split, limit: int, seed: int) -> NDArray[np.uint8]:
    """(N, 48, 48) uint8 faces of Training to calibrate with: so many at random, in their order."""
    order = np.random.default_rng(seed).permutation(len(train))[:limit]
    return train.faces[np.sort(order)]
