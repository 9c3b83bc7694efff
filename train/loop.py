"""The training loop: phases of epochs, with a checkpoint after each epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError, ModelError, TrainingError
from fer_edge.edge.terminal import progress_bar
from fer_edge.train import architectures
from fer_edge.train.averaging import average_with_initial, final_weights
from fer_edge.train.backend import keras
from fer_edge.train.batches import (
    WHOLE,
    augmented_batches,
    batch_norm_batches,
    plain_batches,
    rows_per_step,
    steps_per_epoch,
)
from fer_edge.train.checkpoint import (
    CHECKPOINT,
    RunIdentity,
    TrainingState,
    read_checkpoint,
    run_identity,
    write_checkpoint,
)
from fer_edge.train.data.class_order import named
from fer_edge.train.data.clean_rows import clean_split
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.distributed.group import ALONE, ProcessGroup, check_agreement, from_first
from fer_edge.train.distributed.steps import SharedSteps
from fer_edge.train.frozen_features import FrozenFeatures, split_network
from fer_edge.train.fused_batch_norm import training_keras
from fer_edge.train.networks import dtype_policy
from fer_edge.train.optimization import compile_model, learning_rate, update_plateau
from fer_edge.train.phase_model import resized, seed_dropout, set_trainable
from fer_edge.train.recipes import Phase, Recipe
from fer_edge.train.steps import KerasSteps, Steps
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import Batch, SoftTargets, TrainingSet, training_loss, training_set, with_teacher
from fer_edge.train.validation import validate
from fer_edge.train.weights import initialize, read_half

_logger = logging.getLogger(__name__)


def fit(
    run: TrainingRun,
    data: Dataset,
    soft_targets: SoftTargets | None = None,
    *,
    resume: bool = False,
    callbacks: Sequence[Any] = (),
    group: ProcessGroup = ALONE,
) -> tuple[Any, TrainingState]:
    """Train a network, and leave a checkpoint in the run folder after every epoch.

    Args:
        run: Network, recipe, initial weights and run folder.
        data: A data set with train and val splits; epochs are compared on val's clean rows.
        soft_targets: What is learned besides the labels.
        resume: Whether to continue from the checkpoint, where there is one, with the same history as an uninterrupted
            run.
        callbacks: Keras callbacks, driven as by Keras' own fit: at the beginning and end of the training, of each
            epoch and of each batch. Epochs count over all phases; a phase of another input size comes with a new
            model (`set_model`). `model.stop_training` ends the training. The learning rate is the recipe's: what a
            callback sets is overwritten at the next step.
        group: The processes that share the batches. The first one alone reads initial weights and checkpoint,
            validates, calls the callbacks and writes.

    Returns:
        The Keras model with its best weights, at full size, and where the run ended. Without an epoch at full size the
        weights are the last ones, as they were validated. In other processes than the first the model is none.

    Raises:
        DataError: The data has no train or val split, the checkpoint belongs to another run, the devices cannot share
            a batch, or the processes have different data.
        ModelError: The initial weights do not fit, or the checkpoint is damaged.
        TrainingError: The loss is no number.
    """
    soft_targets = soft_targets or SoftTargets()
    faces = training_set(data.split("train"), run.recipe, soft_targets)
    val = clean_split(data, "val") if group.first else data.split("val")
    if group.first:
        _check_initial_share(run, data.classes)
    identity = run_identity(run, data.split("train"), val, soft_targets.votes)
    if group.mesh:
        _check_shares(group, faces, identity)
    with dtype_policy(run.recipe.precision):
        trainer = _Trainer(run, faces, val, identity, callbacks, group)
        trainer.start(resume)
        last = 0
        for phase in run.recipe.phases(trainer.full_size):
            last += phase.epochs
            if trainer.state.epoch < last:
                trainer.train_phase(phase, last)
        trainer.end()
    if not group.first:
        return None, trainer.state
    network = architectures.build(run.network, keras, classes=len(data.classes))
    network.set_weights(trainer.best_weights())
    if run.recipe.initial_share:
        initial = read_half(Path(run.weights)).values
        batches = map(trainer.channels, batch_norm_batches(faces, trainer.full_size, run.recipe))
        average_with_initial(network, initial, run.recipe.initial_share, batches)
    return network, trainer.state


def _check_initial_share(run: TrainingRun, classes: tuple[str, ...]) -> None:
    """ModelError where the trained weights could not be averaged with the initial ones: they are for other classes."""
    if run.recipe.initial_share and (stored := read_half(Path(run.weights)).classes) != classes:
        raise ModelError(
            f"{run.weights} has the classes {named(stored)}; the data has {named(classes)}; initial_share "
            f"{run.recipe.initial_share} of the recipe needs the same in the same order: pass --initial-share 0"
        )


def _check_shares(group: ProcessGroup, faces: TrainingSet, identity: RunIdentity) -> None:
    """DataError where the devices cannot share what is trained, or the processes do not train the same."""
    recipe = identity.recipe
    if recipe.frozen_views:
        raise DataError(
            f"--distributed with frozen_views {recipe.frozen_views} of the recipe {recipe.name}, whose features of few "
            "pictures one process computes in minutes; leave out --distributed, or pass --frozen-views 0"
        )
    group.share(rows_per_step(faces, recipe))
    about = {key: value for key, value in asdict(identity).items() if key not in ("weights", "val")}
    teachers = {"teacher's targets": bool(faces.distillation), "faces left to train on": len(faces)}
    check_agreement(group, about | teachers)


class _Trainer:
    """The network of a run while it trains: model, optimizer, state and best weights."""

    def __init__(
        self,
        run: TrainingRun,
        faces: TrainingSet,
        val: Split,
        identity: RunIdentity,
        callbacks: Sequence[Any],
        group: ProcessGroup,
    ) -> None:
        self.run, self.faces, self.val, self.identity, self.group = run, faces, val, identity, group
        self.checkpoint = run.folder / CHECKPOINT
        self.full_size = architectures.size(run.network)
        self.state = TrainingState()
        keras.utils.set_random_seed(run.recipe.seed)
        self.model = architectures.build(run.network, training_keras(), classes=len(val.classes))
        self.optimizer: Any = None
        self._steps: Steps
        self._frozen: FrozenFeatures | None = None
        self._best: list[NDArray[np.float32]] | None = None
        self._optimizer_values: list[NDArray[np.float32]] = []
        epochs, steps = sum(phase.epochs for phase in run.recipe.phases()), steps_per_epoch(faces, run.recipe)
        self._callbacks = keras.callbacks.CallbackList([*callbacks], epochs=epochs, steps=steps, verbose=0)
        self._watched: Any = None

    def start(self, resume: bool) -> None:
        """Read the checkpoint, or set the initial weights; where other processes do, take the state from the first."""
        if self.group.first:
            self._start(resume)
        self._share_state()

    def _share_state(self) -> None:
        """Go on from where process 0 is."""
        if self.group.processes > 1:
            self.state = TrainingState(**from_first(self.group, asdict(self.state)))

    def _start(self, resume: bool) -> None:
        if resume and self.checkpoint.exists():
            self.state, arrays, self._best = read_checkpoint(self.checkpoint, self.identity)
            shapes = [value.shape for value in self.model.get_weights()]
            stored = (arrays["weights"], *([self._best] if self._best else []))
            if any([value.shape for value in values] != shapes for values in stored):
                raise self._damaged("the network")
            self.model.set_weights(arrays["weights"])
            self._optimizer_values = arrays["optimizer"]
            return
        if resume:
            _logger.info(f"no checkpoint in {self.run.folder}: starting from the beginning")
        initialize(self.run.network, self.model, self.run.weights, keras, self.faces.faces, self.val.classes)

    def train_phase(self, phase: Phase, last: int) -> None:
        """Train until `last` epochs are finished over all phases, or until the phase stops early."""
        self.model = resized(self.model, self.run.network, phase.size)
        trained = set_trainable(self.run.network, self.model, phase, self.run.recipe)
        if not self.run.recipe.frozen_views or phase.name not in ("warmup", "top"):
            self._train_phase(phase, last)
            return
        if self._best is not None and self.state.epoch == last - phase.epochs:
            self.model.set_weights(self._best)  # minutes, not epochs, are short here: each phase begins from the best
        network = split_network(self.model, trained)
        with FrozenFeatures(network, self.faces, self.val, self.run) as self._frozen:
            self._train_phase(phase, last)
        self._frozen = None

    def _train_phase(self, phase: Phase, last: int) -> None:
        state, recipe, first = self.state, self.run.recipe, last - phase.epochs
        if state.epoch == first:
            state.best_loss, state.epochs_without_gain, state.rate_scale = float("inf"), 0, 1.0
        trained = self._frozen.above if self._frozen else self.model
        self.optimizer = compile_model(trained, recipe, phase, self.faces.distillation)
        if state.epoch > first and self._optimizer_values:  # resumed within the phase
            shapes = [tuple(variable.shape) for variable in self.optimizer.variables]
            if [value.shape for value in self._optimizer_values] != shapes:
                raise self._damaged("the optimizer")
            for variable, value in zip(self.optimizer.variables, self._optimizer_values, strict=True):
                variable.assign(value)
        loss = training_loss(recipe, self.faces.distillation)
        self._steps = (
            SharedSteps(trained, self.optimizer, loss, self.group)
            if self.group.mesh
            else KerasSteps(trained, self.optimizer)
        )
        self._begin()
        while self.state.epoch < last:
            self._callbacks.on_epoch_begin(self.state.epoch)
            start = time.monotonic()
            losses = self._run_steps(phase)
            if self.group.first:
                self._end_epoch(phase, last, losses, start)
            self._share_state()

    def _end_epoch(self, phase: Phase, last: int, losses: dict[str, float], start: float) -> None:
        """Validate, log, write the checkpoint, and decide whether the phase or the training ends."""
        state, recipe = self.state, self.run.recipe
        self._validate(phase, losses, start)
        _logger.info(_epoch_line(state.history[-1], recipe))
        if state.epochs_without_gain >= recipe.stop_patience:
            _logger.info(
                f"early stopping of phase {phase.name}: no lower validation loss in {state.epochs_without_gain} epochs"
            )
            state.epoch = last
        self._write_checkpoint()
        row = state.history[-1]
        logs = {key: float(row[key]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self._callbacks.on_epoch_end(int(row["epoch"]) - 1, {**logs, "learning_rate": float(row["rate"])})
        if self.model.stop_training:
            _logger.info("a callback has stopped the training")
            state.epoch = self._callbacks.params["epochs"]
            self._write_checkpoint()

    def end(self) -> None:
        """Tell the callbacks that no epoch follows."""
        self._begin()  # where none was left to train
        self._callbacks.on_train_end()

    def _begin(self) -> None:
        """Show the callbacks the model where it is a new one; with the first, the training begins."""
        if self._watched is self.model:
            return
        self.model.stop_training = False
        self._callbacks.set_model(self.model)
        if self._watched is None:
            self._callbacks.on_train_begin()
        self._watched = self.model

    def channels(self, views: NDArray[np.float32]) -> NDArray[np.float32]:
        """Views (B, S, S, 3), whose channels are equal, with as many as the network takes."""
        return views[..., : self.model.input_shape[3]]

    def _write_checkpoint(self) -> None:
        write_checkpoint(self.checkpoint, self.identity, self.state, self.model, self.optimizer, self._best)

    def _damaged(self, part: str) -> ModelError:
        return ModelError(
            f"{self.checkpoint} is damaged: it does not hold what {part} has; start again without --resume and with "
            "another --runs folder"
        )

    def best_weights(self) -> list[NDArray[np.float32]]:
        """The weights of the selected epoch, in the order of Keras' get_weights."""
        return self.model.get_weights() if self._best is None else self._best

    def _validate(self, phase: Phase, losses: dict[str, float], start: float) -> None:
        """Validate an epoch, note it in the history, and keep its weights where they are the best."""
        state, recipe = self.state, self.run.recipe
        batches = map(self.channels, plain_batches(self.faces, phase.size, recipe))
        with final_weights(self.model, self.optimizer, batches, recipe.batch_norm):
            row = self._frozen.validate() if self._frozen else validate(self.model, self.val)
            if not math.isfinite(row["val_loss"]):
                raise _diverged(phase, state.epoch + 1, f"the validation loss is {row['val_loss']}")
            full = phase.size == self.full_size
            score = row["val_accuracy"] if recipe.keep == "accuracy" else -row["val_loss"]
            better = full and score > state.best_score
            self._best = self.model.get_weights() if better or not full else self._best
        if better:
            state.best_score = score
        state.epoch += 1
        state.history.append(
            {
                "epoch": state.epoch,
                "phase": phase.name,
                "rate": float(keras.ops.convert_to_numpy(self.optimizer.learning_rate)),
                **losses,
                **row,
                "seconds": round(time.monotonic() - start, 1),
            }
        )
        update_plateau(state, recipe, row["val_loss"])

    def _run_steps(self, phase: Phase) -> dict[str, float]:
        """The steps of an epoch; returns the mean loss and accuracy on the augmented batches."""
        state, recipe, epoch = self.state, self.run.recipe, self.state.epoch
        seed_dropout(self.model, recipe.seed, epoch)
        frozen = self._frozen
        steps = frozen.steps if frozen else steps_per_epoch(self.faces, recipe)
        batches = frozen.batches(epoch) if frozen else self._batches(phase, epoch)
        self._steps.begin()
        loss = accuracy = 0.0
        with progress_bar(f"epoch {epoch + 1} ({phase.name})", steps) as bar:
            for count, batch in enumerate(batches, start=1):
                if self.faces.teacher:
                    batch = with_teacher(batch, self.faces.teacher(batch.views), recipe.teacher_temperature)
                if self._callbacks.callbacks:
                    self._callbacks.on_train_batch_begin(count - 1)
                inputs = batch.views if frozen else self.channels(batch.views)
                step_loss, step_accuracy = self._steps.step(inputs, batch, learning_rate(recipe, phase, state, steps))
                if phase.name != "warmup":
                    state.step += 1
                if not math.isfinite(step_loss):
                    raise _diverged(phase, epoch + 1, f"step {count} of {steps}: the loss is {step_loss}")
                loss += (step_loss - loss) / count
                accuracy += (step_accuracy - accuracy) / count
                if self._callbacks.callbacks:
                    self._callbacks.on_train_batch_end(count - 1, {"loss": step_loss, "accuracy": accuracy})
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update()
        self._steps.end()
        return {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}

    def _batches(self, phase: Phase, epoch: int) -> Iterator[Batch]:
        """This process's share of the batches of an epoch."""
        recipe = self.run.recipe
        share = self.group.share(rows_per_step(self.faces, recipe)) if self.group.mesh else WHOLE
        return augmented_batches(self.faces, phase.size, recipe, epoch, share)


def _diverged(phase: Phase, epoch: int, what: str) -> TrainingError:
    """The error of a loss that is no number, after which all weights are none; what was saved before is untouched."""
    return TrainingError(
        f"epoch {epoch} ({phase.name}), {what}; nothing of this epoch was saved. Start again with another --runs "
        f"folder and a lower --{phase.name}-rate (it is {phase.rate:g})"
    )


def _epoch_line(row: dict[str, float | str], recipe: Recipe) -> str:
    epochs = sum(phase.epochs for phase in recipe.phases())
    return (
        f"epoch {row['epoch']}/{epochs} {row['phase']}: loss {row['loss']:.4f} accuracy {row['accuracy']:.4f} "
        f"val_loss {row['val_loss']:.4f} val_accuracy {row['val_accuracy']:.4f} ({row['seconds']:.0f} s)"
    )
