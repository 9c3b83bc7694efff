"""Experiment trackers: a run's figures per epoch, its recipe and its pictures in TensorBoard or MLflow.

A tracker is a Keras callback, driven like any other (`loop.fit(..., callbacks=...)`). Each writes through its own
library alone, so that it works with every backend of Keras: Keras' TensorBoard callback needs TensorFlow. A tracker
that fails, because a disk is full or a server away, is logged once and left out; the training goes on.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from fer_edge.edge.device.version import full_version
from fer_edge.edge.errors import shortened
from fer_edge.edge.files.documents import json_text, read_json
from fer_edge.edge.files.writing import write_bytes
from fer_edge.train.backend import keras
from fer_edge.train.training_run import TrainingRun

PICTURES = ("training_curves.png", "confusion_matrix.png")
"""Pictures of a finished run folder."""

DOCUMENTS = ("metrics.json", "recipe.json", "history.csv", *PICTURES)
"""Files of a finished run folder that MLflow keeps as artifacts."""

FINAL = ("accuracy", "balanced_accuracy", "ece", "nll")
"""Figures of the saved network in metrics.json."""

MAX_PARAMETER = 500
"""Characters of a parameter, of which some of MLflow's stores take no more."""

_logger = logging.getLogger(__name__)


def check_trackers(names: Sequence[str]) -> None:
    """ImportError, before any work, where a tracker's library is not installed."""
    for name in names:
        import_module(name)


@contextmanager
def trackers(names: Sequence[str], run: TrainingRun, about: dict[str, Any]) -> Iterator[list[Tracker]]:
    """The trackers of a run, closed at the end of the block, as failed where it ends with an exception.

    Args:
        names: 'tensorboard', 'mlflow'.
        run: The run.
        about: What else belongs to the run's start, such as its teachers, as plain values.

    Yields:
        One callback for each name.
    """
    kinds: dict[str, type[Tracker]] = {"tensorboard": TensorBoardTracker, "mlflow": MLflowTracker}
    parameters = {"network": run.network, "weights": run.weights, **asdict(run.recipe), **about}
    with ExitStack() as closing:
        made = [kinds[name](run, parameters) for name in dict.fromkeys(names)]
        for each in made:
            closing.push(lambda kind, error, trace, tracker=each: tracker.close(kind is None))
        yield made


class Tracker(keras.callbacks.Callback):
    """A Keras callback that hands a run on to another program.

    Attributes:
        name: Of the program.
        run: The run.
        parameters: What the run starts from, by name.
        failed: Whether it has failed and is left out.
    """

    name = ""

    def __init__(self, run: TrainingRun, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.run, self.parameters, self.failed, self.open, self.epochs = run, parameters, False, False, 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the run, and write its parameters."""
        self._try(self._open)
        self.open = not self.failed

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the figures of one epoch.

        Args:
            epoch: Its number, from 0.
            logs: `loss`, `accuracy`, `val_loss`, `val_accuracy` and `learning_rate`.
        """
        self.epochs = epoch + 1
        self._try(self._write, {_tag(key): float(value) for key, value in (logs or {}).items()}, self.epochs)

    def finish(self) -> None:
        """Write the saved network's figures and the pictures of the finished run folder."""
        self._try(self._write_end)

    def close(self, finished: bool) -> None:
        """Close the run.

        Args:
            finished: Whether the training has come to its end.
        """
        if self.open:
            self._try(self._end, finished)

    def _try(self, action: Callable[..., None], *args: Any) -> None:
        """Call a method, unless one has failed before; a failure is logged."""
        if self.failed:
            return
        try:
            action(*args)
        except Exception as error:  # whatever a library or a server does must not end the training
            self.failed = True
            reason = shortened(f"{type(error).__name__}: {error}", 200)
            _logger.warning(f"{self.name} failed ({reason}); the training goes on without it")

    def _write_end(self) -> None:
        stored = read_json(self.run.folder / "metrics.json")
        self._write({f"saved/{key}": float(stored[key]) for key in FINAL if key in stored}, self.epochs)
        self._write_files()

    def _open(self) -> None:
        raise NotImplementedError

    def _write(self, values: dict[str, float], step: int) -> None:
        raise NotImplementedError

    def _write_files(self) -> None:
        raise NotImplementedError

    def _end(self, finished: bool) -> None:
        raise NotImplementedError


class TensorBoardTracker(Tracker):
    """Event files in RUN/tensorboard: scalars per epoch, the recipe as text, the pictures at the end."""

    name = "TensorBoard"

    def _open(self) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self.run.folder / "tensorboard"))
        self._text("recipe", "```json\n" + json_text(self.parameters, indent=2) + "\n```")

    def _write(self, values: dict[str, float], step: int) -> None:
        self._add([{"tag": tag, "simple_value": value} for tag, value in values.items()], step)

    def _write_files(self) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name in PICTURES:
            content = (self.run.folder / name).read_bytes()
            width, height = struct.unpack(">II", content[16:24])  # of a PNG's first chunk
            picture = Summary.Image(encoded_image_string=content, height=height, width=width, colorspace=4)
            self._add([{"tag": Path(name).stem, "image": picture}], self.epochs)

    def _end(self, finished: bool) -> None:
        self._writer.close()

    def _text(self, tag: str, text: str) -> None:
        """Write Markdown, as TensorBoard's text plugin reads it."""
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add([{"tag": f"{tag}/text_summary", "metadata": metadata, "tensor": tensor}], 0)

    def _add(self, values: list[dict[str, Any]], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value) for value in values])
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()


class MLflowTracker(Tracker):
    """A run in the MLflow store of MLFLOW_TRACKING_URI, of the experiment MLFLOW_EXPERIMENT_NAME.

    A training that is resumed continues the run whose id is in RUN/mlflow_run.txt.
    """

    name = "MLflow"

    def _open(self) -> None:
        import mlflow

        stored = self.run.folder / "mlflow_run.txt"
        before = stored.read_text().strip() if stored.is_file() else None
        started = mlflow.start_run(run_id=before, run_name=None if before else self.run.folder.name, nested=True)
        write_bytes(stored, f"{started.info.run_id}\n".encode())
        if before is None:
            mlflow.log_params({key: shortened(value, MAX_PARAMETER) for key, value in self.parameters.items()})
            mlflow.set_tag("fer-edge", full_version())

    def _write(self, values: dict[str, float], step: int) -> None:
        import mlflow

        mlflow.log_metrics(values, step=step)

    def _write_files(self) -> None:
        import mlflow

        for name in DOCUMENTS:
            mlflow.log_artifact(str(self.run.folder / name))

    def _end(self, finished: bool) -> None:
        import mlflow

        mlflow.end_run("FINISHED" if finished else "FAILED")


def _tag(key: str) -> str:
    """A figure's name in a tracker, by which training and validation stand in one group: loss/val of val_loss."""
    return {"loss": "loss/train", "accuracy": "accuracy/train"}.get(key) or (
        f"{key.removeprefix('val_')}/val" if key.startswith("val_") else key
    )
