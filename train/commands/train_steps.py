"""Steps of `train` that a single run, several runs and the trials of a sweep have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from fer_edge.train.data.duplicate_counts import duplicate_remarks
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Dataset
from fer_edge.train.distributed.group import ALONE, ProcessGroup, first_before_others
from fer_edge.train.evaluation.metrics import Metrics
from fer_edge.train.options import TrainingOptions
from fer_edge.train.origin import OriginOptions
from fer_edge.train.own_architectures import check_sizes, own_architecture
from fer_edge.train.recipe_files import open_recipe
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import SoftTargets
from fer_edge.train.user_callbacks import CALLBACKS, own_callbacks
from fer_edge.train.user_modules import load_module

_logger = logging.getLogger(__name__)


def make_run(network: str, options: TrainingOptions, recipe: Recipe, origin: OriginOptions) -> TrainingRun:
    """The run of a network.

    Args:
        network: The network.
        options: What the command was given.
        recipe: Fields from the command line; those that are None are those of the named recipe.
        origin: What the user says of the data.

    Raises:
        DataError: The fields contradict each other, or there is no such recipe.
        ModelError: The initial weights are not there.
    """
    changes = {key: value for key, value in vars(recipe).items() if key != "name" and value is not None}
    own = own_architecture(network)
    if own and own.SIZES[0] == own.SIZES[1]:  # of the phases on smaller pictures too
        changes = {"warmup_size": own.SIZE, "small_size": own.SIZE} | changes
    return TrainingRun(
        network,
        open_recipe(options.chosen_recipe, recipe_network(network), **changes),
        options.initial_weights(network),
        options.runs / network,
        origin,
    )


def recipe_network(network: str) -> str:
    """The name by which recipes know a network: 'own' for one that starts from random weights."""
    own = own_architecture(network)
    return "own" if own and not own.weights else network


def check_options(options: TrainingOptions) -> None:
    """ImportError or ConfigError where a tracker is not installed, or the file of callbacks cannot be run."""
    from fer_edge.train.tracking import check_trackers

    check_trackers(options.track)
    if options.callback:
        load_module(options.callback, CALLBACKS, "--callback")


def load_data(options: DataOptions, group: ProcessGroup = ALONE) -> Dataset:
    """The data set; what should be known of it is logged. DataError where it has no train or val split."""
    with first_before_others(group):
        dataset = options.load()
    for remark in duplicate_remarks(dataset) if group.first else []:
        _logger.info(f"{remark} (`fer-edge data info` counts near-duplicates)")
    for split in ("train", "val"):
        dataset.split(split)
    return dataset


def check_own_sizes(network: str, recipes: Iterable[Recipe], dataset: Dataset) -> None:
    """ModelError where a network of the user's own cannot be built in a size that a recipe needs."""
    if own := own_architecture(network):
        check_sizes(own, {phase.size for recipe in recipes for phase in recipe.phases(own.SIZE)}, len(dataset.classes))


def train_run(
    run: TrainingRun,
    dataset: Dataset,
    soft_targets: SoftTargets,
    options: TrainingOptions,
    resume: bool,
    callbacks: Sequence[Any] = (),
    group: ProcessGroup = ALONE,
) -> tuple[Any, Metrics]:
    """Train a network, or resume its training, and write its run folder.

    Args:
        run: The run.
        dataset: The data set.
        soft_targets: What is learned besides the labels.
        options: What the command was given: trackers and callbacks of the user's.
        resume: Whether to continue from the checkpoint, where there is one.
        callbacks: More Keras callbacks.
        group: The processes that share the batches, of which this is the first.

    Returns:
        The Keras model, and its metrics on the val split.
    """
    from fer_edge.train.loop import fit
    from fer_edge.train.run_folder import lock_run, prepare_folder, write_run
    from fer_edge.train.tracking import trackers

    _logger.info(f"{run.network}: recipe {run.recipe.name}, weights {run.weights}, run folder {run.folder}")
    about = {"classes": list(dataset.classes), **soft_targets.sources}
    with lock_run(run), trackers(options.track, run, about) as tracked:
        prepare_folder(run, soft_targets, dataset.split("train"), resume)
        with own_callbacks(options.callback, run) as own:
            every = [*tracked, *own, *callbacks]
            model, state = fit(run, dataset, soft_targets, resume=resume, callbacks=every, group=group)
        metrics = write_run(run, model, state, soft_targets, dataset, group)
        for tracker in tracked:
            tracker.finish()
    return model, metrics
