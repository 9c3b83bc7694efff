"""`train --sweep`: many trainings instead of one, whose recipes Optuna chooses; loaded only for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import flag
from fer_edge.edge.errors import DataError
from fer_edge.edge.files.documents import json_text
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.commands.train_steps import (
    check_options,
    check_own_sizes,
    load_data,
    make_run,
    recipe_network,
    train_run,
)
from fer_edge.train.data.clean_rows import clean_split
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Dataset
from fer_edge.train.options import TrainingOptions
from fer_edge.train.origin import OriginOptions, fingerprints
from fer_edge.train.own_architectures import own_architecture
from fer_edge.train.recipe_files import base_of
from fer_edge.train.recipes import Recipe, checked
from fer_edge.train.soft_targets import read_soft_targets
from fer_edge.train.sweep.definition import OBJECTIVES, Sweep, read_sweep
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import SoftTargets

_logger = logging.getLogger(__name__)


def sweep(
    networks: tuple[str, ...],
    options: TrainingOptions,
    data_options: DataOptions,
    origin: OriginOptions,
    given: Recipe,
) -> None:
    """Train a sweep's trials, or take part in it, and report the best one.

    Args:
        networks: The network; more are an error.
        options: What the command was given; `sweep` is the file.
        data_options: The data.
        origin: What the user says of it.
        given: Fields of the recipe from the command line; None for the others.

    Raises:
        FerEdgeError: The sweep cannot begin or go on.
    """
    assert options.sweep is not None
    wanted = read_sweep(options.sweep)
    _check_together(wanted, networks, options, given)
    base = _base(wanted, networks[0], options, origin, replace(given, keep=OBJECTIVES[wanted.objective]))
    recipes = wanted.recipes(lambda **values: checked(replace(base.recipe, **values)))
    import optuna  # noqa: F401  (what is missing is reported now, in one line)

    from fer_edge.train.run_folder import check_run

    check_options(options)
    for recipe in recipes:
        check_run(replace(base, recipe=recipe, folder=base.folder / "trial"), resume=False)
    dataset = load_data(data_options)
    check_own_sizes(base.network, recipes, dataset)
    _search(wanted, base, recipes, dataset, options, data_options)


def _base(wanted: Sweep, network: str, options: TrainingOptions, origin: OriginOptions, given: Recipe) -> TrainingRun:
    """What all trials begin from, in the sweep's folder; fields that vary have values that make a recipe."""

    def make(**values: Any) -> Recipe:
        return make_run(network, options, replace(given, **values), origin).recipe

    recipe = wanted.recipes(make)[0]
    return TrainingRun(network, recipe, options.initial_weights(network), options.runs / wanted.name, origin)


def _search(
    wanted: Sweep,
    base: TrainingRun,
    recipes: list[Recipe],
    dataset: Dataset,
    options: TrainingOptions,
    data_options: DataOptions,
) -> None:
    """Run this process's part of the sweep, and report what all have found."""
    from fer_edge.train.sweep.report import BEST, best_trial, command, option_words, summary, write_best
    from fer_edge.train.sweep.search import Search
    from fer_edge.train.sweep.study import FILE, open_study, storage_errors

    epochs = max(sum(phase.epochs for phase in recipe.phases()) for recipe in recipes)
    if wanted.pruner.kind != "none" and wanted.pruner.warmup >= epochs > 1:
        raise DataError(
            f"{options.sweep}, [pruner] warmup = {wanted.pruner.warmup}: the recipe has {epochs} epochs, none of which "
            "would end a trial; expected fewer"
        )
    record = json.loads(json_text(_record(wanted, base, dataset, options)))
    study = open_study(wanted, base.folder, record, epochs)

    def make(**values: Any) -> Recipe:
        return checked(replace(base.recipe, **values))

    def keep_best() -> None:
        if best := best_trial(study):
            first = base_of(options.chosen_recipe)
            write_best(study, base.folder, make(**best.params), first, recipe_network(base.network))

    with storage_errors(wanted.storage or str(base.folder / FILE)):
        Search(wanted, study, base, make, _trainer(dataset, options), keep_best).run()
        keep_best()
        lines = summary(study, wanted.objective)
    for line in lines:
        click.echo(line)
    name = [] if own_architecture(base.network) else [base.network]
    words = ["fer-edge", "train", *name, *option_words(data_options), *option_words(base.origin)]
    words += option_words(options, ("recipe", "runs", "resume", "sweep"))
    words += ["--recipe", str(base.folder / BEST), "--runs", str(base.folder / "best")]
    click.echo(f"to train it again: {command(words)}")


def _trainer(dataset: Dataset, options: TrainingOptions) -> Callable[[TrainingRun, bool, list[Any]], dict[str, float]]:
    """What trains a trial and measures its saved network, on the rows on which epochs are compared."""
    from fer_edge.train.validation import validate

    val, train = clean_split(dataset, "val"), dataset.split("train")

    @cache
    def soft_targets(views: str, precision: str) -> SoftTargets:
        recipe = replace(Recipe(), teacher_views=views, teacher_precision=precision)
        return read_soft_targets(train, options.teacher, options.ferplus, recipe)

    def train_trial(run: TrainingRun, resume: bool, callbacks: list[Any]) -> dict[str, float]:
        targets = soft_targets(run.recipe.teacher_views, run.recipe.teacher_precision)
        model, _ = train_run(run, dataset, targets, options, resume, callbacks)
        return validate(model, val)

    return train_trial


def _record(wanted: Sweep, base: TrainingRun, dataset: Dataset, options: TrainingOptions) -> dict[str, Any]:
    """What all trials of the sweep have in common, whichever process trains them."""
    own, sha256s = own_architecture(base.network), fingerprints(dataset.splits)
    return {
        "network": own.record if own else base.network,
        "recipe": {
            key: value for key, value in vars(base.recipe).items() if key != "name" and key not in wanted.fields
        },
        "initial weights": Path(base.weights).name,
        "data": {name: sha256s[name] for name in ("train", "val")},
        "teachers": [Path(each).name for each in options.teacher],
        "votes": options.ferplus.name if options.ferplus else None,
        **wanted.record,
    }


def _check_together(wanted: Sweep, networks: tuple[str, ...], options: TrainingOptions, given: Recipe) -> None:
    """DataError where options contradict the sweep."""
    if len(networks) > 1:
        raise DataError(f"--sweep with all: a sweep is of one network; expected one of {', '.join(ARCHITECTURES)}")
    if options.resume:
        raise DataError("--sweep and --resume exclude each other: a sweep goes on by itself; leave --resume out")
    for name in wanted.fields:
        if getattr(given, name) is not None:
            raise DataError(
                f"{flag(name)} and [fields] {name} of {options.sweep} exclude each other; leave one of them out"
            )
    keep = OBJECTIVES[wanted.objective]
    if given.keep not in (None, keep):
        raise DataError(
            f"--keep {given.keep}: the objective of {options.sweep}, {wanted.objective}, selects the epoch; leave it "
            "out, or change the objective"
        )
