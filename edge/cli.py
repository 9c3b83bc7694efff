"""The `fer-edge` command: a lazy group, so that the device never loads what a command does not use."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.file import UNCONFIGURED, find
from fer_edge.edge.config.lazy_group import LazyGroup
from fer_edge.edge.errors import FerEdgeError, redact, valid_text

COMMANDS = {
    "run": (
        "fer_edge.edge.commands.run:run",
        "Recognize expressions live, from a camera, a stream or a file.",
    ),
    "predict": (
        "fer_edge.edge.commands.predict:predict",
        "Recognize expressions in pictures and folders of pictures.",
    ),
    "cameras": (
        "fer_edge.edge.commands.cameras:cameras",
        "List the cameras and the option that opens each.",
    ),
    "models": (
        "fer_edge.edge.commands.models:models",
        "List, show, verify, label and measure models, or convert them to ONNX.",
    ),
    "data": ("fer_edge.train.commands.data:data", "Prepare and inspect data sets."),
    "train": ("fer_edge.train.commands.train:train", "Train a float model."),
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
    "doctor": ("fer_edge.edge.doctor.command:doctor", "Find what is wrong on this device, and what to do about it."),
}

PREFIX = "FER_EDGE"
"""Environment variables of options begin with it: FER_EDGE_RUN_CAMERA is --camera of `run`."""

_EXTRAS = {
    "keras": ("Keras", "train"),
    "tensorflow": ("TensorFlow", "train"),
    "matplotlib": ("matplotlib", "plots"),
    "h5py": ("h5py", "train"),
    "tf_keras": ("tf_keras", "convert"),
    "paho": ("paho-mqtt", "mqtt"),
    "tensorflow_model_optimization": ("tensorflow-model-optimization", "convert"),
    "tf2onnx": ("tf2onnx", "onnx"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "starlette": ("Starlette", "web"),
    "uvicorn": ("uvicorn", "web"),
    "prometheus_client": ("prometheus-client", "web"),
}
"""By import name, a package's own name and the extra that installs it."""


class _Main(LazyGroup):
    """The command itself: reads the configuration file, and turns an error into one line with exit code 2."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name not in UNCONFIGURED and not ctx.resilient_parsing and not {"-h", "--help"} & set(rest):
            _configure(ctx, [str(name), *rest])
        return name, command, rest

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except SystemExit as end:
            if not args and not extra:  # called as a program
                _leave_threads(end.code)
            raise

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FerEdgeError as error:
            raise _OneLine(str(error)) from error
        except click.BadParameter as error:
            from fer_edge.edge.config.effective import bad_variable

            line = bad_variable(error)
            if line is None:  # a mistake on the command line, for which click shows the usage
                raise
            raise _OneLine(line) from None
        except ImportError as error:
            raise _OneLine(missing_dependency(error)) from error
        except OSError as error:
            if not error.filename:  # no file of the user's: a bug
                raise
            raise _OneLine(_file_error(error)) from error


def _leave_threads(code: object) -> None:
    """End the process where a thread still waits in a camera's driver or in FFmpeg; all outputs are closed by now.

    Such a thread cannot be woken, and one that returns while the interpreter shuts down aborts the process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


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
        click.echo(f"fer-edge: {valid_text(' '.join(self.message.split()))}", err=True)


def _file_error(error: OSError) -> str:
    """The system's message for a file, without a password: the name may be a malformed URL."""
    return f"{redact(str(error.filename))}: {error.strerror}"


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
