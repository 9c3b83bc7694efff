"""Options that exclude each other: the command line goes before the environment, and that before the file."""

from __future__ import annotations

from dataclasses import replace

import click

from fer_edge.edge.config.file import overruled
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sources.options import SourceOptions


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


def one_source(options: SourceOptions) -> SourceOptions:
    """Decide between --camera and --source.

    Args:
        options: The command's options.

    Returns:
        The options with one of the two at most.

    Raises:
        click.UsageError: Both have the same origin.
    """
    if options.camera is None or options.source is None:
        return options
    lost = overruled_option("camera", "source", "--camera and --source exclude each other")
    return replace(options, camera=None) if lost == "camera" else replace(options, source=None)


def one_acceleration(options: PipelineOptions) -> PipelineOptions:
    """Decide between --delegate and --accelerator, and check the one before anything is opened.

    Args:
        options: The command's options.

    Returns:
        The options with one of the two at most.

    Raises:
        click.UsageError: Both have the same origin.
        ModelError: There is no such delegate or accelerator.
    """
    if options.delegate is not None and options.accelerator is not None:
        lost = overruled_option("delegate", "accelerator", "--delegate and --accelerator exclude each other")
        options = replace(options, delegate=None) if lost == "delegate" else replace(options, accelerator=None)
    # here: most runs need neither
    if options.delegate is not None:
        from fer_edge.edge.tflite.delegate import find_delegate

        find_delegate(options.delegate)
    if options.accelerator is not None:
        from fer_edge.edge.tflite.compiled_model import parse_accelerators

        parse_accelerators(options.accelerator)
    return options
