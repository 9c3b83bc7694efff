"""Figures drawn to memory, without a display and without global state; matplotlib is loaded when one is asked for."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import click


def require_matplotlib() -> None:
    """ImportError where there is no matplotlib, so that a plot fails before the work and not after it."""
    import_module("matplotlib")


def needs_matplotlib(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A click callback for options that ask for a plot: `require_matplotlib` where the option is given."""
    if value is not None:
        require_matplotlib()
    return value


def figure(width: float, height: float) -> Any:
    """An empty one, inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def tidy(axis: Any) -> Any:
    """The axis with a faint grid and without a frame above and to the right."""
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def png(made: Any) -> bytes:
    """The figure as a PNG's bytes."""
    content = io.BytesIO()
    made.savefig(content, dpi=120, format="png")
    return content.getvalue()
