"""`fer-edge bench`: each command's module is loaded when the command is called."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

COMMANDS = {
    "accuracy": "fer_edge.benchmarks.accuracy",
    "batching": "fer_edge.benchmarks.batching",
    "compare": "fer_edge.benchmarks.compare",
    "crop": "fer_edge.benchmarks.crop",
    "early-exit": "fer_edge.benchmarks.early_exit",
    "latency": "fer_edge.benchmarks.latency",
    "layers": "fer_edge.benchmarks.layers",
    "peers": "fer_edge.benchmarks.peers",
    "pipeline": "fer_edge.benchmarks.pipeline",
    "report": "fer_edge.benchmarks.report",
    "robustness": "fer_edge.benchmarks.robustness",
    "score-cache": "fer_edge.benchmarks.score_cache",
    "start": "fer_edge.benchmarks.start",
    "table": "fer_edge.benchmarks.table",
}
"""Commands by name; a command's module and its function in it have the same name."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, module in COMMANDS.items() if find_spec(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None or find_spec(module) is None:
            return None
        command = getattr(import_module(module), module.rpartition(".")[2])
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Lazy)
def bench() -> None:
    """Measure accuracy and latency on this machine, and make tables of the results."""
