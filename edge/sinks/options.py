"""Where `fer-edge run` puts its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.sinks.events import HOLD_SECONDS
from fer_edge.edge.types import EMOTIONS, option


@dataclass(frozen=True)
class OutputOptions:
    """A display, and files."""

    show: str = option("auto", "Display.", choices=("auto", "window", "text", "none"))
    jsonl: str | None = option(
        None,
        "Write one JSON line per frame; - is stdout.",
        metavar="PATH",
        example="faces.jsonl",
        stores="results as JSON lines",
    )
    csv: str | None = option(
        None, "Write CSV, one row per face.", metavar="PATH", example="faces.csv", stores="results as CSV"
    )
    rotate_mb: float | None = option(
        None,
        "Rotate the --jsonl or --csv file at this size, megabytes, and append to one that exists at the start.",
        metavar="MB",
        minimum=0,
        maximum=1e6,
        open_minimum=True,
        example=10,
    )
    rotate_keep: int = option(5, "Rotated files to keep.", minimum=0)
    save_video: Path | None = option(
        None, "Write an annotated .mp4 or .avi.", example="annotated.mp4", stores="annotated video"
    )
    save_picture: Path | None = option(
        None, "Write the last frame with a face.", example="face.png", stores="the last picture with a face"
    )


@dataclass(frozen=True)
class EventOptions:
    """What happens when a face starts to show an emotion."""

    snapshot_dir: Path | None = option(
        None,
        "Save a picture when an emotion begins.",
        metavar="DIR",
        example="snapshots",
        stores="pictures of moments",
    )
    snapshot_on: tuple[str, ...] = option(
        (), "Only when this emotion begins; repeatable.", choices=EMOTIONS, example=["happy"]
    )
    snapshot_keep: int = option(100, "Pictures to keep in DIR.", minimum=1)
    on: tuple[tuple[str, str], ...] = option(
        (),
        "Run a command when an emotion begins; repeatable.",
        metavar="EMOTION COMMAND",
        choices=EMOTIONS,
        example=[["happy", "aplay tada.wav"]],
        network=True,
    )
    hold: float = option(HOLD_SECONDS, "Seconds that an emotion must last to have begun.", minimum=0)
    cooldown: float = option(5.0, "Seconds between two snapshots, or two runs of a command.", minimum=0)
