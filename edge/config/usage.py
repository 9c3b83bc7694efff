"""What click refuses on a command line, as one line."""

from __future__ import annotations

import click

from fer_edge.edge.config.effective import bad_variable


def usage_line(error: click.UsageError) -> str:
    """The error line for what click refuses.

    Args:
        error: What click, or a command, raised.

    Returns:
        The line, with the command whose help lists the options; for an environment variable, its name.
    """
    line = bad_variable(error) if isinstance(error, click.BadParameter) else None
    if line is not None:
        return line
    path = error.ctx.command_path if error.ctx else "fer-edge"
    program, _, command = path.partition(" ")
    if isinstance(error, click.NoSuchOption) and error.option_name == "--config" and command:
        return f"--config stands before the command: {program} --config PATH {command}"
    message = error.format_message().rstrip(".")
    return f"{message}{'' if message.endswith('?') else ';'} see '{path} --help'"
