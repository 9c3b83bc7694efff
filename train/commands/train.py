"""The command `train`; Keras is imported only once it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import click

from fer_edge.edge.config.click_options import SectionedCommand, options_from
from fer_edge.edge.errors import ConfigError, ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.commands.train_steps import check_options, check_own_sizes, load_data, make_run, train_run
from fer_edge.train.data.options import TRAINED, DataOptions
from fer_edge.train.distributed.group import ProcessGroup, choose_backend, open_group
from fer_edge.train.distributed.options import DistributionOptions, launch_of
from fer_edge.train.distributed.supervisor import begin_supervised, is_supervised, supervise
from fer_edge.train.evaluation.report import metrics_table
from fer_edge.train.options import TrainingOptions
from fer_edge.train.origin import OriginOptions
from fer_edge.train.own_architectures import OwnArchitecture, open_keras, open_python, registered
from fer_edge.train.recipes import Recipe
from fer_edge.train.soft_targets import read_soft_targets
from fer_edge.train.training_run import TrainingRun

UNSET = dict.fromkeys(each.name for each in fields(Recipe))
"""No default for any field: what is not on the command line comes from the named recipe."""


@click.command(cls=SectionedCommand)
@click.argument("name", type=click.Choice([*ARCHITECTURES, "all"]), metavar="[NAME]", required=False)
# before the Recipe's options: both have to do with a parameter `recipe`, a name here, the dataclass there
@options_from(TrainingOptions, "Run")
@options_from(DataOptions, "Data", only=("data", *TRAINED))
@options_from(OriginOptions, "Data")
@options_from(DistributionOptions, "Devices and hosts")
@options_from(Recipe, "Recipe", defaults=UNSET)
def train(
    name: str | None,
    data_options: DataOptions,
    training_options: TrainingOptions,
    origin_options: OriginOptions,
    distribution_options: DistributionOptions,
    recipe: Recipe,
) -> None:
    """Train the network NAME on the train split and select its best epoch on the val split: on those of its
    rows whose photograph is not in the train split.

    NAME is mobilenet_v2, se_mobilenet_v2, efficientnet_b0 or mobilenet_v2_small, 'all' for these four networks for
    devices, or a larger one: resnet50_cbam, or the teachers for distillation mobilenet, face_resnet,
    inception_resnet_v1, se_resnet18, vgg. A network of your own takes its place: --architecture FILE.py or --from-keras
    FILE.

    Writes the run folder RUNS/NAME: the float model, metrics, training curves and the last checkpoint. The defaults of
    the recipe's fields are those of 'best'; other recipes, and 'best' for some networks, differ. A recipe of your own
    is a TOML file: base = "best", then fields such as full_epochs = 10.

    With --sweep the trials' run folders are in RUNS/SWEEP instead, where SWEEP is the name of the file.
    """
    if training_options.sweep and distribution_options.distributed:
        raise ConfigError(
            "--sweep and --distributed exclude each other: start a process of the sweep for each device, with another "
            "CUDA_VISIBLE_DEVICES; leave one of the two out"
        )
    with _processes(distribution_options) as group, registered(_own_architecture(name, training_options)) as own:
        names = (own.NAME,) if own else MODEL_NAMES if name == "all" else (str(name),)
        if training_options.sweep:
            from fer_edge.train.commands.sweep import sweep

            sweep(names, training_options, data_options, origin_options, recipe)
            return
        runs = [make_run(each, training_options, recipe, origin_options) for each in names]
        _train_all(runs, data_options, training_options, group)


@contextmanager
def _processes(options: DistributionOptions) -> Iterator[ProcessGroup]:
    """The processes that train together inside the block; with others, this program is run once more, supervised."""
    launch = launch_of(options, os.environ)
    if launch:
        choose_backend()
    if launch and launch.processes > 1:
        if not is_supervised():
            supervise(launch.process, launch.processes, str(launch.coordinator))
        begin_supervised()
    with open_group(launch) as group:
        yield group


def _own_architecture(name: str | None, options: TrainingOptions) -> OwnArchitecture | None:
    """The network of the user's own that is trained; None for one of the package's."""
    given = {"NAME": name, "--architecture": options.architecture, "--from-keras": options.from_keras}
    chosen = [key for key, value in given.items() if value is not None]
    if len(chosen) != 1:
        what = f"{' and '.join(chosen)} exclude each other" if chosen else "no network is named"
        raise ModelError(f"{what}; expected a NAME ({', '.join(ARCHITECTURES)} or all), --architecture or --from-keras")
    if options.architecture:
        return open_python(options.architecture)
    return open_keras(options.from_keras) if options.from_keras else None


def _train_all(
    runs: list[TrainingRun], data_options: DataOptions, training_options: TrainingOptions, group: ProcessGroup
) -> None:
    """Check everything that could stop one of the runs, then train them one by one."""
    from fer_edge.train.backend import keras  # noqa: F401  (what is missing is reported now, in one line)
    from fer_edge.train.loop import fit
    from fer_edge.train.run_folder import check_run, lock_run

    if group.first:
        check_options(training_options)
    for run in runs if group.first else []:  # what stops the last is reported before the hours of the first
        check_run(run, training_options.resume)
        if run.folder.is_dir():
            lock_run(run).close()
    dataset = load_data(data_options, group)
    for run in runs:
        check_own_sizes(run.network, [run.recipe], dataset)
    soft_targets = read_soft_targets(
        dataset.split("train"), training_options.teacher, training_options.ferplus, runs[0].recipe
    )
    for run in runs:
        if not group.first:
            fit(run, dataset, soft_targets, group=group)
            continue
        _, metrics = train_run(run, dataset, soft_targets, training_options, training_options.resume, group=group)
        click.echo(metrics_table(metrics))
        click.echo(f"{run.network}: see {run.folder}/metrics.json, training_curves.png, confusion_matrix.png")
