"""Options that several benchmarks share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.results_io.record import RESULTS
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks.output_paths import check_replaceable, refuse_shared_files
from fer_edge.edge.types import MAX_THREADS, Acceleration
from fer_edge.train.data.options import DataOptions
from fer_edge.train.evaluation.figures import needs_matplotlib

Command = Callable[..., Any]

one_thread = options_from(PipelineOptions, only=("threads",), defaults={"threads": 1})
"""Add --threads, 1 by default, in `pipeline_options`."""


class OutputFile(click.Option):
    """An option whose file can be written, and is neither another's nor one that the command line names to be read."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """The value, once it has been compared with the rest of the command line and the disk; raises SinkError."""
        value, rest = super().handle_parse_result(ctx, opts, args)
        if isinstance(value, Path):
            written = {each.name: each.opts[0] for each in ctx.command.params if isinstance(each, OutputFile)}
            others = {name: _words(each) for name, each in opts.items() if name != self.name}
            refuse_shared_files(
                {written[name]: words for name, words in others.items() if name in written}
                | {written[self.name]: [value]},
                {name: filter(os.path.isfile, words) for name, words in others.items() if name not in written},
            )
            check_replaceable(value, creates_folder=True)
        return value, rest


def _words(value: Any) -> list[str]:
    """The texts in a raw value of the command line: one, several of a repeated option, or none of a flag."""
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str)]


def _checked_result_file(ctx: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
    """A click callback: SinkError before the measurement where there is no --out and the default is not writable."""
    if value is None:
        check_replaceable(RESULTS / "NAME-MACHINE.json", creates_folder=True)
    return value


result_file = click.option(
    "--out",
    cls=OutputFile,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="JSON",
    callback=_checked_result_file,
    help="Result file to write.  [default: benchmarks/results/NAME-MACHINE.json]",
)

figure_file = click.option(
    "--plot",
    cls=OutputFile,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    callback=needs_matplotlib,
    help="Figure of the result to draw.",
)


def acceleration_words(acceleration: Acceleration | None) -> list[str]:
    """Delegate or accelerator as words of a command line; none for the interpreter alone."""
    chosen = asdict(acceleration or Acceleration())
    return [word for name, value in chosen.items() if value is not None for word in (f"--{name}", value)]


def labelled_pictures(command: Command) -> Command:
    """Add --data, --skip-bad and --split in `data_options`, and --limit: the pictures that accuracy is measured on."""
    limit = click.option("--limit", type=IntRange(1), metavar="N", help="Measure the first N pictures only.")
    return options_from(DataOptions)(limit(command))


def comma_separated(convert: Callable[[str], Any], expected: str) -> Any:
    """A click callback that makes a tuple of comma-separated values.

    Args:
        convert: Text of one value to the value; raises ValueError where it is not valid.
        expected: The valid values, in words, for the error message.
    """

    def parse(ctx: click.Context, option: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            return tuple(convert(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"{value!r}; expected {expected} with commas between") from None

    return parse


def count(text: str) -> int:
    """A whole number from 1 to 10,000; ValueError where the text is none."""
    return _in_range(int(text), 10_000)


def thread_count(text: str) -> int:
    """A number of threads that a model may have; ValueError where the text is none."""
    return _in_range(int(text), MAX_THREADS)


def numbers_of_workers(default: str, what: str) -> Callable[[Command], Command]:
    """Add --workers N,N, in `workers`: whole numbers from 1, whose first the others are compared with.

    Args:
        default: The value without the option.
        what: What they are the numbers of.
    """
    return click.option(
        "--workers",
        default=default,
        metavar="N,N",
        callback=comma_separated(count, "whole numbers from 1"),
        help=f"Numbers of {what} to compare with the first of them.",
    )


def frame_size(text: str) -> tuple[int, int]:
    """Width and height of a frame in pixels, both from 64 to 8192, from WxH; ValueError where it is neither."""
    width, height = (_in_range(int(part), 8192) for part in text.split("x"))
    if min(width, height) < 64:
        raise ValueError
    return width, height


def _in_range(number: int, largest: int) -> int:
    if not 1 <= number <= largest:
        raise ValueError
    return number
