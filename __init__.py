"""Facial-expression recognition on cameras and pictures, in ten lines of Python; docs/library.md shows them.

Names are imported on first use, so that importing the package, or one of its commands, costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_edge.edge.errors import ConfigError as ConfigError
    from fer_edge.edge.errors import DataError as DataError
    from fer_edge.edge.errors import FerEdgeError as FerEdgeError
    from fer_edge.edge.errors import ModelError as ModelError
    from fer_edge.edge.errors import SourceError as SourceError
    from fer_edge.edge.pipeline import Pipeline as Pipeline
    from fer_edge.edge.pipeline import PipelineOptions as PipelineOptions
    from fer_edge.edge.pipeline import open_pipeline as open_pipeline
    from fer_edge.edge.sinks.colours import class_colours as class_colours
    from fer_edge.edge.sinks.draw import annotate as annotate
    from fer_edge.edge.sinks.events import Event as Event
    from fer_edge.edge.sinks.events import EventDetector as EventDetector
    from fer_edge.edge.sources import open_source as open_source
    from fer_edge.edge.sources.options import SourceOptions as SourceOptions
    from fer_edge.edge.sources.pictures import read_picture as read_picture
    from fer_edge.edge.types import Box as Box
    from fer_edge.edge.types import Face as Face
    from fer_edge.edge.types import Frame as Frame
    from fer_edge.edge.types import Prediction as Prediction
    from fer_edge.edge.types import Source as Source
else:
    _HOMES = {
        "sinks.colours": ("class_colours",),
        "sinks.draw": ("annotate",),
        "errors": ("ConfigError", "DataError", "FerEdgeError", "ModelError", "SourceError"),
        "sinks.events": ("Event", "EventDetector"),
        "pipeline": ("Pipeline", "PipelineOptions", "open_pipeline"),
        "sources": ("open_source",),
        "sources.options": ("SourceOptions",),
        "sources.pictures": ("read_picture",),
        "types": ("Box", "Face", "Frame", "Prediction", "Source"),
    }
    __all__ = [name for names in _HOMES.values() for name in names]

    def __getattr__(name):
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"fer_edge.edge.{home}"), name)

    def __dir__():
        return [*globals(), *__all__]
