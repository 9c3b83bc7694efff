"""Options of the outputs of `fer-edge run`: display, files, and actions at events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.sinks.events import HOLD_TIME
from fer_edge.edge.types import option


@dataclass(frozen=True)
class OutputOptions:
    """Display and files."""

    show: str = option(
        "auto",
        "Show predictions in a window or as text on stdout; auto opens a window where it can.",
        choices=("auto", "window", "text", "none"),
    )
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
        "Rotate the --jsonl or --csv file at this size, megabytes; a file that exists at the start is appended to.",
        metavar="MB",
        minimum=0,
        maximum=1_000_000,
        open_minimum=True,
        example=10,
    )
    rotate_keep: int = option(5, "Number of rotated files to keep.", metavar="N", minimum=0, maximum=10_000)
    save_video: Path | None = option(
        None,
        "Write the annotated frames to a video: .mp4 (.m4v, .mov, .mkv), .avi, or .webm, which browsers play.",
        metavar="PATH",
        example="annotated.mp4",
        stores="annotated video",
    )
    save_video_segment: float | None = option(
        None,
        "Begin a new --save-video file after this time, minutes; NAME-DATE-TIME.mp4, none of which is overwritten.",
        metavar="MINUTES",
        minimum=0,
        maximum=10_080,
        open_minimum=True,
        example=10,
    )
    save_picture: Path | None = option(
        None,
        "Write the last frame with a face, annotated, when the run ends.",
        metavar="PATH",
        example="face.png",
        stores="the last picture with a face",
    )


@dataclass(frozen=True)
class EventOptions:
    """Actions when an emotion begins."""

    snapshot_dir: Path | None = option(
        None,
        "Save a picture to this folder when an emotion begins.",
        metavar="DIR",
        example="snapshots",
        stores="annotated snapshots",
    )
    snapshot_on: tuple[str, ...] = option(
        (),
        "Save only when this emotion, or other class of the model, begins; repeatable.",
        metavar="CLASS",
        example=["happy"],
    )
    snapshot_keep: int = option(
        100, "Number of snapshots to keep; the oldest are deleted.", metavar="N", minimum=1, maximum=1_000_000
    )
    on: tuple[tuple[str, str], ...] = option(
        (),
        "Run a command when this emotion, or other class of the model, begins; repeatable.",
        metavar="CLASS COMMAND",
        example=[["happy", "aplay tada.wav"]],
        network=True,
    )
    hold: float = option(
        HOLD_TIME, "Seconds that an emotion must last to count as begun.", metavar="SECONDS", minimum=0
    )
    cooldown: float = option(
        5.0,
        "Minimum seconds between two snapshots, or between two runs of a command.",
        metavar="SECONDS",
        minimum=0,
    )
