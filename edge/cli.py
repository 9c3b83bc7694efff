"""The `fer-edge` command: a lazy group, so that the device never loads what a command does not use."""

from __future__ import annotations

if __name__ == "__main__":  # before the other imports, which take most of the start; as program/entry.py does it
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.empty_values import refuse_empty_words
from fer_edge.edge.config.file import UNCONFIGURED, find
from fer_edge.edge.config.lazy_group import LazyGroup
from fer_edge.edge.errors import FerEdgeError, redact, redact_text, shortage
from fer_edge.edge.program import interrupts
from fer_edge.edge.program.process import run_program
from fer_edge.edge.program.standard_streams import StdoutError

COMMANDS = {
    "run": (
        "fer_edge.edge.commands.run:run",
        "Recognize expressions live, from a camera, a stream or a file.",
    ),
    "predict": (
        "fer_edge.edge.commands.predict:predict",
        "Recognize expressions in pictures, folders of pictures and videos.",
    ),
    "cameras": (
        "fer_edge.edge.commands.cameras:cameras",
        "List the cameras and the option that opens each.",
    ),
    "models": (
        "fer_edge.edge.commands.models:models",
        "List, show, verify, add, label and measure models, or convert them to ONNX.",
    ),
    "data": ("fer_edge.train.commands.data:data", "Prepare and inspect data sets."),
    "train": ("fer_edge.train.commands.train:train", "Train a float model."),
    "runs": ("fer_edge.train.commands.runs:runs", "List training runs and compare them."),
    "evaluate": ("fer_edge.train.commands.evaluate:evaluate", "Measure models on a labelled split."),
    "ensemble": ("fer_edge.train.commands.ensemble:ensemble", "Fit an ensemble's weights and temperature."),
    "convert": ("fer_edge.convert.commands.convert:convert", "Quantize a float model to int8 TFLite and verify it."),
    "convert face-detector": (
        "fer_edge.convert.commands.face_detector:face_detector",
        "Quantize the face detector YuNet to int8 TFLite and verify it.",
    ),
    "bench": ("fer_edge.benchmarks.cli:bench", "Measure accuracy and latency on this machine."),
    "config": ("fer_edge.edge.commands.config:config", "Print the settings in effect and where each comes from."),
    "service": ("fer_edge.edge.service.command:service", "Run fer-edge at boot as a systemd service."),
    "fleet": (
        "fer_edge.edge.commands.fleet.command:fleet",
        "List, show and watch the devices at an MQTT broker, and change their settings.",
    ),
    "doctor": ("fer_edge.edge.doctor.command:doctor", "Find what is wrong on this device, and what to do about it."),
}

PREFIX = "FER_EDGE"
"""Environment variables of options begin with it: FER_EDGE_RUN_CAMERA is --camera of `run`."""

_EXTRAS = {
    "keras": ("Keras", "train"),
    "tensorflow": ("TensorFlow", "train"),
    "matplotlib": ("matplotlib", "plots"),
    "h5py": ("h5py", "train"),
    "jax": ("JAX", "jax"),
    "tensorboard": ("TensorBoard", "tensorboard"),
    "mlflow": ("MLflow", "mlflow"),
    "optuna": ("Optuna", "sweep"),
    "tf_keras": ("tf_keras", "convert"),
    "paho": ("paho-mqtt", "mqtt"),
    "tensorflow_model_optimization": ("tensorflow-model-optimization", "convert"),
    "tf2onnx": ("tf2onnx", "onnx"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "pyarrow": ("pyarrow", "parquet"),
    "starlette": ("Starlette", "web"),
    "uvicorn": ("uvicorn", "web"),
    "prometheus_client": ("prometheus-client", "web"),
    "dask": ("Dask", "cluster"),
    "distributed": ("Dask", "cluster"),
    "fsspec": ("fsspec", "remote"),
    "aiohttp": ("aiohttp", "remote"),
}
"""By import name, a package's own name and the extra that installs it."""


class _Main(LazyGroup):
    """The command itself: reads the configuration file, and turns an error into one line with exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        refuse_empty_words(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name not in UNCONFIGURED and not ctx.resilient_parsing and not {"-h", "--help"} & set(rest):
            _configure(ctx, [str(name), *rest])
        interrupts.unwind()
        return name, command, rest

    def main(self, *args: Any, **extra: Any) -> Any:
        if not args and not extra:  # called as a program
            run_program(partial(super().main, prog_name="fer-edge"))
        return super().main(*args, **extra)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what a user can fix into one line, and what a signal has caused into the end that it asks for."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(interrupts.exit_code() or 130) from None
    except Exception as error:
        if interrupts.exit_code():  # an import, for example, turns KeyboardInterrupt into another error
            raise SystemExit(interrupts.exit_code()) from None
        line = _error_line(error)
        if line is None:
            raise
        raise _OneLine(line) from error


def _error_line(error: Exception) -> str | None:
    """The line for an error that a user can fix; None for click's own ends of a command, and for a bug."""
    if isinstance(error, FerEdgeError):
        return redact_text(str(error))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return None
    if isinstance(error, click.UsageError):
        from fer_edge.edge.config.usage import usage_line

        return redact_text(usage_line(error), words=True)
    if short := shortage(error):
        return short
    if isinstance(error, ImportError):
        return missing_dependency(error)
    if isinstance(error, StdoutError):
        return f"stdout cannot be written: {error.strerror}"
    if isinstance(error, FileNotFoundError) and not error.filename and not _has_working_folder():
        return "the working folder was removed; change to another one"
    if isinstance(error, OSError) and error.filename:  # without a file of the user's it is a bug
        return f"{redact(str(error.filename))}: {error.strerror}"  # the name may be a malformed URL with a password
    return None


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _configure(ctx: click.Context, words: list[str]) -> None:
    """Make the configuration file's values the called command's defaults. Raises ConfigError."""
    path = find(ctx.params["config"])
    if path is not None:
        from fer_edge.edge.config.tables import settings

        ctx.obj = path
        ctx.default_map = settings(path, main, words)


class _OneLine(click.ClickException):
    """An error that the user can fix: one line on stderr and exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        from fer_edge.edge.terminal import one_line

        click.echo(f"fer-edge: {one_line(' '.join(self.message.split()))}", err=True)


def missing_dependency(error: ImportError) -> str:
    """One line for a dependency that cannot be imported, with the command that installs it.

    Args:
        error: What the import raised.

    Returns:
        The line without the leading "fer-edge:".
    """
    from fer_edge.edge.device.installation import install_extra

    package = (error.name or "").split(".")[0]
    if package in _EXTRAS:
        what, extra = _EXTRAS[package]
        return f"this command needs {what}: {install_extra(extra)}"
    text = str(error)
    if "libGL" in text:
        return "OpenCV needs libGL, which this system lacks: sudo apt-get install libgl1"
    if "libgthread" in text or "libglib" in text:
        return "OpenCV needs GLib, which this system lacks: sudo apt-get install libglib2.0-0"
    return f"a dependency cannot be imported ({text}): {install_extra()}"


def _print_version(context: click.Context, option: click.Parameter, chosen: bool) -> None:
    """Print the version, with a checkout's git revision, and exit."""
    if chosen and not context.resilient_parsing:
        from fer_edge.edge.device.version import full_version

        click.echo(f"fer-edge {full_version()}")
        context.exit()


@click.group(
    cls=_Main,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "auto_envvar_prefix": PREFIX},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_print_version,
    help="Print the version.",
)
@click.option(
    "--config",
    metavar="PATH",
    type=click.Path(path_type=Path),
    show_default="fer-edge.toml here, in ~/.config/fer-edge or in /etc/fer-edge",
    help="Configuration file.",
)
def main(config: Path | None) -> None:
    """Facial-expression recognition on the edge: train, quantize, verify, run.

    Every option of a command can also be set in fer-edge.toml or by an environment variable: --camera of 'run' by
    FER_EDGE_RUN_CAMERA.
    """
    from fer_edge.edge.terminal import configure_logging  # here: help and completion do without logging

    configure_logging()


if __name__ == "__main__":
    main()
