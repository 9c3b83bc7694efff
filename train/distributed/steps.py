"""Training steps whose batches are shared by several devices, in the manner of Keras' guide to JAX: the state on every
device, each batch split among them, and XLA's collectives for gradients and for batch norm's statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train import training_targets
from fer_edge.train.backend import keras
from fer_edge.train.distributed.group import ProcessGroup, arrays_from_first
from fer_edge.train.training_targets import Batch


class SharedSteps:
    """The steps of a phase; the state is on the devices from `begin` to `end` of an epoch, and in the model else.

    Batch norm's statistics are those of the whole batch, as XLA computes over all devices what is one array in the
    program: a step is the same as one device's, to the order of the sums.
    """

    def __init__(self, model: Any, optimizer: Any, loss: Callable[[Any, Any], Any], group: ProcessGroup) -> None:
        """Share an optimizer's state.

        Args:
            model: The Keras model, the same in all processes.
            optimizer: Its optimizer, built; its values are process 0's.
            loss: (B, …) targets and (B, C) logits to a loss for each row.
            group: The processes and devices.
        """
        import jax

        self.model, self.optimizer, self.group = model, optimizer, group
        self._whole = jax.sharding.NamedSharding(group.mesh, jax.sharding.PartitionSpec())
        self._split = jax.sharding.NamedSharding(group.mesh, jax.sharding.PartitionSpec("batch"))
        self._step = jax.jit(_step(model, optimizer, loss), donate_argnums=0, out_shardings=self._whole)
        self._state: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        _assign(optimizer.variables, arrays_from_first(group, _values(optimizer.variables)))

    def begin(self) -> None:
        """Bring the state to the devices: the model's is that of process 0."""
        trainable, others = self.model.trainable_variables, self.model.non_trainable_variables
        values = arrays_from_first(self.group, _values([*trainable, *others]))
        count = len(trainable)
        parts = (values[:count], values[count:], _values(self.optimizer.variables))
        self._state = tuple([self._on_devices(each, self._whole) for each in part] for part in parts)  # type: ignore[assignment]

    def step(self, inputs: NDArray[np.float32], batch: Batch, rate: float) -> tuple[float, float]:
        """Train on a batch.

        Args:
            inputs: (B / processes, S, S, 1 or 3) this process's rows of the batch.
            batch: Their targets and weights.
            rate: Learning rate.

        Returns:
            Loss and accuracy, means over the whole batch.
        """
        rows = [self._on_devices(each, self._split) for each in (inputs, batch.targets, batch.weights)]
        self._state, (loss, accuracy) = self._step(self._state, np.float32(rate), *rows)
        return float(np.asarray(loss)), float(np.asarray(accuracy))

    def end(self) -> None:
        """Bring the state back to model and optimizer."""
        trainable, others, of_optimizer = self._state
        for variables, values in (
            (self.model.trainable_variables, trainable),
            (self.model.non_trainable_variables, others),
            (self.optimizer.variables, of_optimizer),
        ):
            _assign(variables, [np.asarray(value) for value in values])
        self._state = ([], [], [])

    def _on_devices(self, value: NDArray[Any], sharding: Any) -> Any:
        """An array of all devices from this process's rows of it, or from the whole array in each process."""
        import jax

        return jax.make_array_from_process_local_data(sharding, value)


def _step(model: Any, optimizer: Any, loss: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A training step without side effects: state, learning rate and a batch to the state after it, loss, accuracy."""
    import jax

    rate_index = next(i for i, each in enumerate(optimizer.variables) if each is optimizer.learning_rate)

    def mean_loss(trainable: Any, others: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        logits, others, added = model.stateless_call(trainable, others, inputs, training=True, return_losses=True)
        logits = keras.ops.cast(logits, "float32")
        total = keras.ops.mean(loss(targets, logits) * weights) + sum(added)
        return total, (logits, others)

    def step(state: Any, rate: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        trainable, others, of_optimizer = state
        gradient = jax.value_and_grad(mean_loss, has_aux=True)
        (total, (logits, others)), gradients = gradient(trainable, others, inputs, targets, weights)
        of_optimizer = [rate if i == rate_index else value for i, value in enumerate(of_optimizer)]
        trainable, of_optimizer = optimizer.stateless_apply(of_optimizer, gradients, trainable)
        accuracy = keras.ops.mean(training_targets.accuracy(targets, logits))
        return (trainable, others, of_optimizer), (total, accuracy)

    return step


def _values(variables: Any) -> list[NDArray[Any]]:
    """Copies of the variables' values: a step gives its arguments' memory away."""
    return [np.array(keras.ops.convert_to_numpy(each)) for each in variables]


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
