"""`fer-edge config`: which file is in use, where each value comes from, and an example file."""

from __future__ import annotations

import click

from fer_edge.edge.config.effective import EffectiveValue, effective_values
from fer_edge.edge.config.example import example_file
from fer_edge.edge.config.exposure import exposed_secret
from fer_edge.edge.config.file import find, places
from fer_edge.edge.config.lazy_group import joined
from fer_edge.edge.config.option_values import as_toml
from fer_edge.edge.config.tables import check_all, find_command, settings
from fer_edge.edge.errors import valid_text


@click.command()
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.option("--example", is_flag=True, help="Print an example file: every option with its help, in comments.")
@click.option("--show-secrets", is_flag=True, help="Print tokens, passwords and commands as they are.")
@click.pass_context
def config(context: click.Context, words: tuple[str, ...], example: bool, show_secrets: bool) -> None:
    """Print the settings in effect and where each comes from.

    With COMMAND, print the value of each option and its origin: an environment variable, the file, or the default.
    Tokens, passwords in addresses, and commands are shown as ….
    Without, name the file in use and check all of it.

    \b
    fer-edge config run
    fer-edge config bench latency
    fer-edge config --example > fer-edge.toml
    """
    root = context.find_root()
    if example:
        click.echo(example_file(root, words), nl=False)
        return
    path = find(root.params["config"])
    if words:
        lines = _command_lines(root, words, show_secrets)
    elif path is None:
        lines = [f"no configuration file; looked for {', '.join(map(str, places()))}"]
    else:
        names = ", ".join(f"[{name}]" for name in check_all(path, root))
        lines = [f"{path}: {names or 'sets nothing'}"]
    click.echo(valid_text("\n".join(lines)))
    exposed = None if path is None else exposed_secret(path, root)
    if exposed is not None:
        click.echo(f"warning: {exposed}", err=True)


def _command_lines(root: click.Context, words: tuple[str, ...], show_secrets: bool) -> list[str]:
    """The table of a command with the values that it would run with. Raises ConfigError."""
    assert isinstance(root.command, click.Group)
    path = find(root.params["config"])
    command = find_command(root, words)
    in_file = settings(path, root.command, words) if path else {}
    for word in joined(root.command, words):
        in_file = in_file.get(word, {})
    head = [f"# {path}" if path else "# no configuration file", f"[{'.'.join(words)}]"]
    return head + [_line(value, show_secrets) for value in effective_values(command, in_file, path)]


def _line(effective: EffectiveValue, show_secrets: bool) -> str:
    """A key with its value and where that comes from; a comment where there is no value."""
    if not effective.is_set:
        return f"#{effective.key} is not set{': ' if effective.origin else ''}{effective.origin}"
    value = effective.value if show_secrets else effective.masked
    return f"{effective.key} = {as_toml(value)}  # {effective.origin}"
