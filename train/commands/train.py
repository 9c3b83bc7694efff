"""The command `train`; Keras is imported only once it runs."""

from __future__ import annotations

from dataclasses import fields

import click

from fer_edge.edge.config.click_options import SectionedCommand, options_from
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.data.options import DataOptions
from fer_edge.train.options import TrainingOptions
from fer_edge.train.recipes import Recipe, make_recipe
from fer_edge.train.training_run import check_start, softened_targets, train_one

UNSET = dict.fromkeys(each.name for each in fields(Recipe))
"""No default for any field: what is not on the command line comes from the named recipe."""


@click.command(cls=SectionedCommand)
@click.argument("name", type=click.Choice([*ARCHITECTURES, "all"]), metavar="NAME")
# before the Recipe's options: both have to do with a parameter `recipe`, a name here, the dataclass there
@options_from(TrainingOptions, "Run")
@options_from(DataOptions, "Data", only=("data", "skip_bad"))
@options_from(Recipe, "Recipe", defaults=UNSET)
def train(name: str, data_options: DataOptions, training_options: TrainingOptions, recipe: Recipe) -> None:
    """Train the network NAME on the train split and select its best epoch on the val split.

    NAME is mobilenet_v2, se_mobilenet_v2 or efficientnet_b0, 'all' for these three networks for devices, or one of the
    larger teachers for distillation: mobilenet, face_resnet, inception_resnet_v1, se_resnet18, vgg.

    Writes the run folder RUNS/NAME: the float model, metrics, training curves and the last checkpoint. The defaults of
    the recipe's fields are those of 'best'; other recipes, and 'best' for some networks, differ.
    """
    import keras  # noqa: F401  (a missing Keras is reported now, in one line, before any work)

    names = MODEL_NAMES if name == "all" else (name,)
    changes = {key: value for key, value in vars(recipe).items() if key != "name" and value is not None}
    recipes = {each: make_recipe(training_options.recipe, each, **changes) for each in names}
    runs, resume = training_options.runs, training_options.resume
    weights = {each: training_options.initial_weights(each) for each in names}
    for each in names:  # what would stop the last of them is reported before the hours of the first
        check_start(each, runs / each, weights[each], resume)
    dataset = data_options.load()
    for split in ("train", "val"):
        dataset.split(split)
    softened = softened_targets(dataset, training_options.teacher, training_options.ferplus, recipes[names[0]])
    for each, chosen in recipes.items():
        train_one(each, dataset, chosen, runs / each, weights[each], resume, softened)
