"""matplotlib figures without a display and without global state; matplotlib is imported when the first one is made."""

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
    """An empty figure of so many inches; draw on its `subplots()`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def tidy(axis: Any) -> Any:
    """The axis, with a faint grid and without the frame's top and right line."""
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def png(drawing: Any) -> bytes:
    """The bytes of the figure as PNG, 120 dots per inch."""
    content = io.BytesIO()
    drawing.savefig(content, dpi=120, format="png")
    return content.getvalue()
