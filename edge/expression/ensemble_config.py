"""The ensemble's JSON file: members, weights, temperatures, class offsets and early exit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.expression.operating_point import MAX_TEMPERATURE, MIN_TEMPERATURE, Cascade, parse_cascade
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.edge.types import classes_problem

MAX_MEMBERS = 32
"""Members of an ensemble, each of which takes a model's memory."""

MAX_OFFSET = 100
"""Class offsets in logits; a larger one decides alone."""


@dataclass(frozen=True)
class EnsembleConfig:
    """An ensemble of M members as its JSON file describes it.

    Attributes:
        members: (M,) names of .tflite files in the folder of the JSON file, in the order in which early exit runs them.
        weights: (M,) weights above 0, which sum to 1.
        temperature: Divides every member's logits in the whole ensemble.
        member_temperatures: (M,) temperature of each member that runs by itself; "alone" in the file.
        classes: (C,) names of the members' classes, in the order of their outputs; "labels" in the file. None where
            the file leaves them to the members' cards.
        offsets: (C,) added to each class's logits in the ensemble, after the temperature: the prior of the classes, and
            what favours rare ones.
        fitting_data: The data that all this was fitted on, in words; "fitted_on" in the file.
        cascade: Early exit; None if the ensemble has none.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float
    member_temperatures: tuple[float, ...]
    classes: tuple[str, ...] | None
    offsets: tuple[float, ...]
    fitting_data: str = ""
    cascade: Cascade | None = None


def read_ensemble(path: Path) -> EnsembleConfig:
    """Read and check an ensemble's JSON file.

    Args:
        path: The file.

    Returns:
        The ensemble it describes; its members are not opened.

    Raises:
        ModelError: The file is missing, no ensemble file, or holds an impossible value.
    """
    try:
        stored = read_json(path)
        config = EnsembleConfig(
            members=tuple(str(name) for name in stored["members"]),
            weights=tuple(float(weight) for weight in stored["weights"]),
            temperature=float(stored["temperature"]),
            member_temperatures=tuple(float(temperature) for temperature in stored["alone"]),
            classes=tuple(stored["labels"]) if "labels" in stored else None,
            offsets=tuple(float(offset) for offset in stored["offsets"]),
            fitting_data=str(stored.get("fitted_on", "")),
            cascade=parse_cascade(stored["cascade"], len(stored["members"])) if stored.get("cascade") else None,
        )
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; 'fer-edge ensemble fit' writes it") from None
    except (TypeError, AttributeError):
        raise ModelError(
            f"{path} is no ensemble file: a value is of another kind; 'fer-edge ensemble fit' writes it"
        ) from None
    except (ValueError, KeyError, OverflowError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else shortened(error, 120)
        raise ModelError(f"{path} is no ensemble file: {reason}; 'fer-edge ensemble fit' writes it") from None
    if problem := _problem(config):
        raise ModelError(f"{path}: {problem}")
    return config


def _problem(config: EnsembleConfig) -> str | None:
    """What is impossible about an ensemble, with what was expected; None where nothing is."""
    temperatures = (config.temperature, *config.member_temperatures)
    if not len(config.members) == len(config.weights) == len(config.member_temperatures) > 0:
        return "expected as many weights and temperatures as members, and at least one"
    if config.classes is not None and (problem := classes_problem(config.classes)):
        return f"labels: {problem}"
    if config.classes is not None and len(config.offsets) != len(config.classes):
        return f"expected {len(config.classes)} offsets, one per class, not {len(config.offsets)}"
    if len(config.members) > MAX_MEMBERS:
        return f"{len(config.members)} members, expected at most {MAX_MEMBERS}"
    if not all(map(math.isfinite, (*config.weights, *temperatures, *config.offsets))):
        return "expected finite weights, temperatures and offsets"
    if max(map(abs, config.offsets)) > MAX_OFFSET:
        return f"an offset is {max(config.offsets, key=abs):g}, expected at most {MAX_OFFSET} either way"
    if min(config.weights) <= 0 or abs(sum(config.weights) - 1) > 1e-3:  # a file's digits are rounded
        return f"the weights are {shortened(config.weights)}, expected each above 0 and a sum of 1"
    if min(temperatures) < MIN_TEMPERATURE or max(temperatures) > MAX_TEMPERATURE:
        worst = max(temperatures, key=lambda each: abs(math.log(max(each, 1e-300))))
        return f"a temperature is {worst:g}, expected {MIN_TEMPERATURE} to {MAX_TEMPERATURE}"
    return None


def write_ensemble(path: Path, config: EnsembleConfig) -> Path:
    """Write the ensemble's JSON file, complete or not at all.

    Args:
        path: The file to write; the members are expected beside it.
        config: The ensemble.

    Returns:
        The same path.

    Raises:
        ModelError: The ensemble holds an impossible value; nothing is written.
        SinkError: The file cannot be written.
    """
    if problem := _problem(config):
        raise ModelError(f"{path}: {problem}; nothing was written")
    record = {
        "members": config.members,
        "weights": config.weights,
        "temperature": config.temperature,
        "alone": config.member_temperatures,
        **({} if config.classes is None else {"labels": config.classes}),
        "offsets": config.offsets,
        "fitted_on": config.fitting_data,
        "cascade": None if config.cascade is None else _cascade_record(config.cascade),
    }
    return write_json(path, record)


def _cascade_record(cascade: Cascade) -> dict[str, Any]:
    points = [asdict(point) for point in cascade.points]
    return {"temperatures": cascade.temperatures, "points": points, "chosen": cascade.default}
