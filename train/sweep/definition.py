"""What a sweep varies and how it searches: a TOML file, checked against the fields of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice, product
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import DataError, shortened
from fer_edge.edge.files.documents import read_toml
from fer_edge.train.recipe_files import FIELDS, check_field, quoted
from fer_edge.train.recipes import Recipe, check_value

OBJECTIVES = {"val_loss": "loss", "val_accuracy": "accuracy"}
"""What can be searched for, and the recipe's `keep` that selects a trial's epoch by it."""

PRUNERS = ("median", "hyperband", "none")

UNVARIED = ("name", "keep")
"""Fields of a recipe that no sweep varies: the selected epoch is that of the objective."""

MAX_NAME = 64
"""Characters of a sweep's name, which is that of a folder and of a study."""

MAX_TRIALS = 100_000

MAX_COMBINATIONS = 4096
"""Combinations of extreme values that are tried before a sweep, to find one that makes a recipe."""

_TABLES = ("fields", "pruner")


@dataclass(frozen=True)
class Range:
    """Numbers of a field.

    Attributes:
        low: The lowest.
        high: The highest.
        step: Distance of neighbouring values; None for any number, or for any whole one.
        log: Whether values are drawn evenly in their logarithm.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def extremes(self) -> tuple[Any, ...]:
        """Values that are in the range whatever it is."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Choices:
    """Values of a field.

    Attributes:
        values: The values.
    """

    values: tuple[Any, ...]

    def extremes(self) -> tuple[Any, ...]:
        """The values."""
        return self.values


@dataclass(frozen=True)
class PrunerSettings:
    """When trials are ended early.

    Attributes:
        kind: 'median', 'hyperband' or 'none'.
        startup: Trials that are finished before the median pruner ends the first one.
        warmup: Epochs in which no trial is ended.
    """

    kind: str = "median"
    startup: int = 5
    warmup: int = 1


@dataclass(frozen=True)
class Sweep:
    """A search.

    Attributes:
        name: Name of the study and of its folder: that of the file.
        fields: What each varied field of the recipe may be.
        trials: Trials over all processes, ended ones among them.
        objective: 'val_loss', which is minimized, or 'val_accuracy', which is maximized.
        seed: Seed of the sampler; with a trial's number it gives that trial's random numbers.
        storage: Optuna's storage: a SQLite file, or the URL of a database; None for a file in the sweep's folder.
        heartbeat: Seconds without a sign of life after which a trial is trained by another process.
        pruner: When trials are ended early.
    """

    name: str
    fields: dict[str, Range | Choices]
    trials: int = 20
    objective: str = "val_loss"
    seed: int = 1
    storage: str | None = None
    heartbeat: int = 60
    pruner: PrunerSettings = PrunerSettings()

    @property
    def record(self) -> dict[str, Any]:
        """What must not change while the search goes on, as plain values."""
        fields = {name: asdict(each) for name, each in self.fields.items()}
        return {"fields": fields, "objective": self.objective, "seed": self.seed, "pruner": asdict(self.pruner)}

    def recipes(self, make: Callable[..., Recipe]) -> list[Recipe]:
        """The recipes of combinations of extreme values, to check before the search what may come in it.

        Args:
            make: Makes a recipe of values by field; DataError where they contradict each other.

        Returns:
            The recipes of those combinations that do not; MAX_COMBINATIONS are tried.

        Raises:
            DataError: All of them contradict each other.
        """
        recipes, problem = [], None
        for values in islice(product(*(each.extremes() for each in self.fields.values())), MAX_COMBINATIONS):
            try:
                recipes.append(make(**dict(zip(self.fields, values, strict=True))))
            except DataError as error:
                problem = problem or error
        if not recipes:
            assert problem is not None
            raise problem
        return recipes


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's file.

    Args:
        path: The .toml file.

    Raises:
        DataError: It cannot be read, or it has a key or value that is wrong.
    """
    try:
        table = read_toml(path)
    except OSError as error:
        raise DataError(f"--sweep {path} cannot be read: {error.strerror}; expected a .toml file") from None
    except ValueError as error:
        raise DataError(f"--sweep {path} is no TOML: {error}") from None
    if not path.stem.isprintable() or len(path.stem) > MAX_NAME:
        raise DataError(
            f"--sweep {path}: its name is that of the sweep's folder; expected at most {MAX_NAME} characters before "
            ".toml, all printable"
        )
    _check_keys(f"{path}", table, [*_TABLES, "trials", "objective", "seed", "storage", "heartbeat"])
    for name in _TABLES:
        if not isinstance(table.get(name, {}), dict):
            raise DataError(f"{path}, {name} = {quoted(table[name])}: expected a table, [{name}]")
    fields = table.get("fields", {})
    if not fields:
        raise DataError(
            f"{path} varies nothing; expected a table [fields] with a recipe's fields, such as "
            "full_rate = { low = 1e-4, high = 1e-2, log = true }"
        )
    return Sweep(
        path.stem,
        {key: _field(f"{path}, [fields] {shortened(key)}", key, value) for key, value in fields.items()},
        **dict(_settings(path, table)),
        pruner=_pruner(path, table.get("pruner", {})),
    )


def _settings(path: Path, table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys outside of tables."""
    for key, low, high in (("trials", 1, MAX_TRIALS), ("seed", 0, 2**32 - 1), ("heartbeat", 2, 86_400)):
        if key in table:
            yield key, _whole(f"{path}, {key}", table[key], low, high)
    if "objective" in table:
        yield "objective", _one_of(f"{path}, objective", table["objective"], tuple(OBJECTIVES))
    if "storage" in table:
        value = table["storage"]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise DataError(
                f"{path}, storage: expected a SQLite file, or a database's URL such as postgresql://HOST/NAME"
            )
        yield "storage", value


def _pruner(path: Path, table: dict[str, Any]) -> PrunerSettings:
    """The table [pruner]."""
    where = f"{path}, [pruner]"
    _check_keys(where, table, ["kind", "startup", "warmup"])
    kind = _one_of(f"{where} kind", table.get("kind", "median"), PRUNERS)
    unused = {"median": (), "hyperband": ("startup",), "none": ("startup", "warmup")}[kind]
    for key in unused:
        if key in table:
            raise DataError(f'{where} {key} = {quoted(table[key])}: kind = "{kind}" has none; leave it out')
    numbers = {
        key: _whole(f"{where} {key}", table[key], low, MAX_TRIALS)
        for key, low in (("startup", 0), ("warmup", 0 if kind == "median" else 1))
        if key in table
    }
    return PrunerSettings(kind, **numbers)


def _field(where: str, key: str, value: Any) -> Range | Choices:
    """What a recipe's field may be: { low, high, step, log } or { choices }."""
    if key in UNVARIED:
        reason = "trials are named by their number" if key == "name" else "the objective selects the epoch"
        raise DataError(f"{where} cannot be varied: {reason}; leave it out")
    if key not in FIELDS:
        check_field(where, key, value)
    expected = "expected { low = …, high = … } or { choices = […] }"
    if not isinstance(value, dict) or not value:
        raise DataError(f"{where} = {quoted(value)}: {expected}")
    _check_keys(where, value, ["low", "high", "step", "log", "choices"])
    if "choices" in value:
        if len(value) > 1:
            raise DataError(
                f"{where}: {', '.join(each for each in value if each != 'choices')} beside choices; {expected}"
            )
        return _choices(where, key, value["choices"])
    missing = [name for name in ("low", "high") if name not in value]
    if missing:
        raise DataError(f"{where}: {' and '.join(missing)} is missing; {expected}")
    return _range(where, key, **value)


def _choices(where: str, key: str, values: Any) -> Choices:
    if not isinstance(values, list):
        raise DataError(f"{where} choices = {quoted(values)}: expected a list")
    for each in values:
        check_field(f"{where} choices: {key}", key, each)
        _check(where, key, each)
    made = tuple(float(each) if FIELDS[key].type == "float" else each for each in values)
    if len(made) < 2 or len(set(made)) < len(made):
        raise DataError(f"{where} choices = {quoted(values)}: expected two or more different values")
    return Choices(made)


def _range(where: str, key: str, low: Any, high: Any, step: Any = None, log: Any = False) -> Range:
    kind = FIELDS[key].type
    if kind == "str":
        raise DataError(f"{where} is no number: expected {{ choices = […] }}")
    for name, value in (("low", low), ("high", high), *([] if step is None else [("step", step)])):
        check_field(f"{where} {name}", key, value)
    for value in (low, high):
        _check(where, key, value)
    if not isinstance(log, bool):
        raise DataError(f"{where} log = {quoted(log)}: expected true or false")
    if low >= high:
        raise DataError(f"{where}: low = {low}, high = {high}; expected low below high")
    if log and low <= 0:
        raise DataError(f"{where}: low = {low} has no logarithm; expected it above 0 with log")
    if log and step is not None:
        raise DataError(f"{where}: step and log exclude each other")
    if step is not None:
        ends = [Decimal(str(each)) for each in (low, high, step)]
        if not 0 < step <= high - low or (ends[1] - ends[0]) % ends[2]:
            raise DataError(
                f"{where}: low = {low}, high = {high}, step = {step}; expected high a number of steps above low"
            )
    convert = float if kind == "float" else int
    return Range(convert(low), convert(high), None if step is None else convert(step), log)


def _check(where: str, key: str, value: Any) -> None:
    """DataError, which says where, for a value that the recipe's field does not take."""
    try:
        check_value(key, value)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _whole(where: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"{where} = {quoted(value)}: expected a whole number from {low} to {high}")
    return value


def _one_of(where: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{where} = {quoted(value)}: expected {', '.join(choices)}")
    return value


def _check_keys(where: str, table: dict[str, Any], known: list[str]) -> None:
    """DataError, with the nearest one, for a key that there is not; a recipe's field belongs to [fields]."""
    for key in table:
        if key in known:
            continue
        near = get_close_matches(key, known, 1)
        if key.replace("-", "_") in FIELDS and "fields" in known:
            hint = (
                "a recipe's field belongs below [fields]; a value that does not vary, to --recipe or the command line"
            )
        else:
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)}"
        raise DataError(f"{where}: {shortened(key)} is no key of a sweep; {hint}")
