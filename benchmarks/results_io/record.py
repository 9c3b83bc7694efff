"""Result files: a measurement with its command line, machine and date."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fer_edge.benchmarks.results_io.machine import facts
from fer_edge.edge.config.option_values import as_words, options
from fer_edge.edge.errors import FerEdgeError, ModelError, shortened
from fer_edge.edge.expression.ensemble import member_files
from fer_edge.edge.expression.model_spec import (
    ENSEMBLE_FILE,
    ENSEMBLE_NAME,
    MODEL_NAMES,
    parse_model_spec,
    shipped_models,
)
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.edge.tflite.card import checked_card, sha256
from fer_edge.models import FOLDER
from fer_edge.train.data.clean_rows import rows_in_train
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split, fingerprint

_HERE = Path(__file__).resolve().parents[1]
RESULTS = _HERE / "results" if (_HERE.parent / "setup.cfg").exists() else Path("results")
"""The folder of result files: a checkout's own, otherwise one in the working directory."""

MACHINE = {"model", "cpu", "cores", "os", "python", "packages", "date"}
"""Facts about the machine that every result file has."""


class ResultError(FerEdgeError):
    """A measurement that failed, or a result file that is missing, malformed or of another kind."""


class RecordedCommand(click.Command):
    """A command that keeps its arguments as they were typed, for the result file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["fer_edge.arguments"] = list(args)
        return super().parse_args(ctx, args)


def command_line() -> str:
    """The running command line, with the options that come from the environment or the file written out."""
    ctx = click.get_current_context()
    words = ["fer-edge", "bench", str(ctx.info_name), *ctx.meta["fer_edge.arguments"]]
    for option in options(ctx.command).values():
        name = str(option.name)
        source = ctx.get_parameter_source(name)
        if source is ParameterSource.DEFAULT_MAP and ctx.default_map:
            words += as_words(option, ctx.default_map[name])
        elif source is ParameterSource.ENVIRONMENT:
            words += as_words(option, ctx.params[name] if option.is_flag else option.value_from_envvar(ctx))
    return shlex.join(words)


def default_models() -> tuple[str, ...]:
    """The models that are measured where none is named.

    Returns:
        The shipped models that are present, the ensemble last.

    Raises:
        ModelError: There is none.
    """
    present = {model.text for model in shipped_models()}
    specs = [name for name in MODEL_NAMES if name in present]
    if ENSEMBLE_FILE.is_file():
        specs.append(ENSEMBLE_NAME)
    if not specs:
        raise ModelError(f"{FOLDER} holds no model; name a .tflite file, or make one with 'fer-edge convert'")
    return tuple(specs)


def identity(spec: str) -> dict[str, Any]:
    """Identify the model of a row.

    Args:
        spec: A model's name or file.

    Returns:
        "model", a short name; "bytes", the size of its networks; "sha256" of each file, of an ensemble's file too.

    Raises:
        ModelError: A file is missing or altered.
    """
    model, paths = parse_model_spec(spec), member_files(spec)
    described = [model.path] if model.kind == "ensemble" else []
    name = Path(spec).stem if spec.endswith((".tflite", ".json")) else spec
    kinds = {checked_card(path).quantization for path in paths} - {"int8"}
    return {
        "model": f"{name} ({', '.join(sorted(kinds))})" if kinds and not spec.endswith(".tflite") else name,
        "bytes": sum(path.stat().st_size for path in paths),
        "sha256": {path.name if path.parent == FOLDER else str(path): sha256(path) for path in (*paths, *described)},
    }


def load_split(options: DataOptions, limit: int | None) -> tuple[Split, dict[str, Any]]:
    """Read the labelled split to measure on.

    Args:
        options: The data set and the split.
        limit: The number of its first pictures to use; all where None.

    Returns:
        The split, and its description for the result file.

    Raises:
        DataError: The data set cannot be read or lacks the split.
    """
    return _limited(options, options.load_split(), limit)


def load_rows(options: DataOptions, limit: int | None) -> tuple[Split, dict[str, Any], Overlap | None]:
    """Read the labelled split to measure on as `load_split` does, with the rows that are in the train split too.

    Args:
        options: The data set and the split.
        limit: The number of its first pictures to use; all where None.

    Returns:
        The split, its description for the result file, and its rows that are in the train split, or None where that is
        not known.

    Raises:
        DataError: The data set cannot be read or lacks the split.
    """
    dataset = options.load()
    part, described = _limited(options, dataset.split(options.split), limit)
    rows = rows_in_train(dataset, options.split)
    return part, described, rows and Overlap(rows.exact[: len(part)], rows.near[: len(part)])


def _limited(options: DataOptions, part: Split, limit: int | None) -> tuple[Split, dict[str, Any]]:
    """The split's first pictures, all where the limit is None, and their description."""
    if limit:
        part = Split(part.faces[:limit], part.labels[:limit], part.classes)
    described = {"name": options.data.name, "split": options.split, "pictures": len(part)}
    return part, {**described, "sha256": fingerprint(part)}


def write(kind: str, body: dict[str, Any], out: Path | None) -> Path:
    """Write a result file, complete or not at all.

    Args:
        kind: The measurement, which is the name of its command.
        body: Its rows and what they have in common; values for JSON.
        out: The file; results/KIND-MACHINE.json where None.

    Returns:
        The file's path.

    Raises:
        SinkError: It cannot be written.
    """
    machine = facts()
    path = out or RESULTS / f"{kind}-{slug(machine['model'] or machine['cpu'])}.json"
    return write_json(path, {"kind": kind, "command": command_line(), "machine": machine, **body})


def read(path: Path) -> dict[str, Any]:
    """Read a result file.

    Args:
        path: The file.

    Returns:
        Its content, with at least "kind", "machine" and "rows".

    Raises:
        ResultError: The file cannot be read or is not a result file.
    """
    try:
        stored = read_json(path)
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{path} cannot be read: {error}; expected a result file that 'fer-edge bench' wrote"
        ) from None
    result: dict[str, Any] = stored if isinstance(stored, dict) else {}
    machine, rows = result.get("machine"), result.get("rows")
    if "kind" not in result or not rows or not isinstance(machine, dict) or not machine.keys() >= MACHINE:
        raise ResultError(f"{path} is not a result file; expected one that 'fer-edge bench' wrote")
    return result


@contextmanager
def complete(*paths: Path) -> Iterator[None]:
    """Use result files whose rows may lack something, or be of another version or somebody's editor.

    Args:
        *paths: The files, for the error.

    Yields:
        Nothing. Inside the block the rows are used.

    Raises:
        ResultError: A row has not what the block needs.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ResultError(
            f"{' or '.join(map(str, paths))} is not complete: {shortened(what, 120)}; expected a result file that this "
            "version's 'fer-edge bench' wrote"
        ) from None


def slug(name: str) -> str:
    """A name as part of a file name: lower case, without (R) and (TM), anything but a-z and 0-9 as a dash."""
    plain = re.sub(r"\((r|tm)\)", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "unknown"
