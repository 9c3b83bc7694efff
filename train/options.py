"""What `fer-edge train` may set besides the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.types import option
from fer_edge.models import FOLDER
from fer_edge.train.recipes import RECIPES

SHIPPED_WEIGHTS = "fer2013"
"""The value of --weights that stands for the float weights of the shipped models."""


@dataclass(frozen=True)
class TrainingOptions:
    """What a network starts from, what it learns besides the labels, and where its run folder is.

    Attributes:
        recipe: The recipe whose fields are the defaults: its name, or a TOML file.
        architecture: A Python file with a function `build(keras, size, classes)`, instead of a network's name.
        from_keras: A Keras classifier to continue from, instead of a network's name.
        weights: Initial weights: 'imagenet', 'fer2013', 'none' or a file; `{name}` in it stands for the network's name.
        teacher: Models whose logits the network learns from (distillation).
        ferplus: FER+'s CSV of annotators' votes.
        runs: Folder with a run folder for each network.
        resume: Whether to continue from the run folder's checkpoint.
        sweep: A TOML file of recipe fields to search (Optuna).
        track: Experiment trackers that the run is handed on to.
        callback: A Python file with a function `callbacks(run)` that returns Keras callbacks.
    """

    recipe: str | None = option(
        None,
        f"Recipe that the fields below start from: {', '.join(RECIPES)}, or a .toml file with fields of your own.",
        metavar="NAME|FILE",
        show_default="best; transfer with --weights fer2013",
        example="recipe.toml",
    )
    architecture: Path | None = option(
        None,
        "Train a network of your own instead of NAME: a Python file with a function build(keras, size, classes); it is "
        "run.",
        metavar="FILE.py",
        example="my_net.py",
    )
    from_keras: Path | None = option(
        None,
        "Continue from a Keras classifier instead of NAME: a .keras or .h5 file.",
        metavar="FILE",
        example="classifier.keras",
    )
    weights: str | None = option(
        None,
        "Initial weights: imagenet; fer2013, those of the shipped model; none; or a .weights.h5, .npz or face "
        "recognizer's file ({name} in it stands for NAME).",
        metavar="WEIGHTS",
        show_default="imagenet; none for a teacher or --architecture, the file's for --from-keras",
        example="models/float/{name}.npz",
    )
    teacher: tuple[str, ...] = option(
        (),
        "Distil from this model too: a run folder, a model, or a run's teacher_logits.npz. Repeatable.",
        metavar="MODEL",
        example=["runs/vgg"],
    )
    ferplus: Path | None = option(
        None,
        "Learn from the annotators' votes of FER+ too: its fer2013new.csv.",
        metavar="CSV",
        example="fer2013new.csv",
    )
    runs: Path = option(Path("runs"), "Folder that holds the run folders.", metavar="FOLDER")
    resume: bool = option(False, "Continue from the last checkpoint of the run folder.")
    sweep: Path | None = option(
        None,
        "Search fields of the recipe with Optuna: a TOML file with their ranges. Each trial is a run folder in "
        "RUNS/SWEEP; the same command goes on, and takes part from other processes.",
        metavar="FILE.toml",
        example="sweep.toml",
    )
    track: tuple[str, ...] = option(
        (),
        "Write figures, recipe and pictures for TensorBoard (into the run folder) or MLflow (MLFLOW_TRACKING_URI) too. "
        "Repeatable.",
        choices=("tensorboard", "mlflow"),
        example=["tensorboard"],
    )
    callback: Path | None = option(
        None,
        "Python file whose function callbacks(run) returns Keras callbacks; it is run.",
        metavar="FILE.py",
        example="callbacks.py",
    )

    @property
    def chosen_recipe(self) -> str:
        """The recipe whose fields are the defaults, where none was named."""
        return self.recipe or ("transfer" if self.weights == SHIPPED_WEIGHTS else "best")

    def initial_weights(self, network: str) -> str:
        """The initial weights of one network; ModelError where the shipped ones are not there."""
        if self.weights == SHIPPED_WEIGHTS:
            path = FOLDER / "float" / f"{network}.npz"
            if not path.is_file():
                shipped = ", ".join(sorted(each.stem for each in path.parent.glob("*.npz") if each.stem in MODEL_NAMES))
                raise ModelError(
                    f"--weights {SHIPPED_WEIGHTS}: there are none of {network} in {path.parent}; expected "
                    f"{f'one of {shipped}' if shipped else 'a clone of the repository, whose models/float has them'}"
                )
            return str(path)
        if self.from_keras and self.weights is None:
            return str(self.from_keras)
        return (self.weights or ("imagenet" if network in MODEL_NAMES else "none")).replace("{name}", network)
