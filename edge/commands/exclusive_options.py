"""Options that exclude each other: the command line goes before the environment, and that before the file."""

from __future__ import annotations

from dataclasses import replace

import click

from fer_edge.edge.config.file import overruled
from fer_edge.edge.pipeline import PipelineOptions


def overruled_option(first: str, second: str, why: str) -> str:
    """Of two parameters of the current command that exclude each other, the one that gives way.

    Args:
        first: A parameter's name.
        second: The other's.
        why: The error message.

    Returns:
        The name whose value comes from the weaker origin.

    Raises:
        click.UsageError: Both come from the same origin.
    """
    lost = overruled(first, second)
    if lost is None:
        raise click.UsageError(why)
    return lost


def one_acceleration(options: PipelineOptions) -> PipelineOptions:
    """The options with --delegate or --accelerator, but not both. Raises UsageError where both have one origin."""
    if options.delegate is None or options.accelerator is None:
        return options
    lost = overruled_option("delegate", "accelerator", "--delegate and --accelerator exclude each other")
    return replace(options, delegate=None) if lost == "delegate" else replace(options, accelerator=None)
