"""The options of `fer-edge predict` for archives: many inputs, videos, workers, parts and shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import CheckedOptions, option

MAX_WORKERS = 1024
"""Worker processes at most."""


@dataclass(frozen=True)
class ArchiveOptions(CheckedOptions):
    """What an archive is made of, who works on it, and where the results go."""

    from_file: Path | None = option(
        None,
        "Read more paths from a list, one a line; - is stdin.",
        metavar="LIST",
        example="pictures.txt",
    )
    null: bool = option(False, "Paths in --from-file end with a zero byte, as find -print0 writes them.")
    every: float | None = option(
        None,
        "Read videos, too, and take a picture of each at this interval, seconds of the video.",
        metavar="SECONDS",
        minimum=0,
        open_minimum=True,
        example=2.0,
    )
    workers: int | None = option(
        None,
        "Worker processes, each with networks of its own (about 100 MB) and one thread unless --threads is given.",
        metavar="N",
        minimum=1,
        maximum=MAX_WORKERS,
        show_default="one per core for 100 pictures or several videos, else 1",
        example=4,
    )
    output: Path | None = option(
        None,
        "Write the results to files in this folder, a part for each chunk of the inputs.",
        metavar="DIR",
        example="results",
    )
    format: str = option("jsonl", "Format of the parts; parquet needs pyarrow.", choices=("jsonl", "csv", "parquet"))
    part_size: int | None = option(
        None,
        "Pictures in a part; a video has one of its own.",
        metavar="N",
        minimum=1,
        maximum=1_000_000,
        show_default="8 to 256, a 128th of all",
        example=100,
    )
    resume: bool = option(False, "Go on where an earlier run into --output, or with --resume into --jsonl, ended.")
    shard: str | None = option(
        None,
        "Work on the I-th of N equal shares of the chunks, such as 1/8; the N runs may share --output.",
        metavar="I/N",
        example="1/8",
    )
    dask: str | None = option(
        None,
        "Work on the workers of this Dask scheduler: HOST:PORT, tls://HOST:PORT or a scheduler file; needs --output.",
        metavar="ADDRESS",
        example="10.0.0.1:8786",
        network=True,
    )
    dask_timeout: float = option(
        60.0,
        "Seconds to wait for Dask workers while there are none; then the run ends, and --resume goes on.",
        metavar="SECONDS",
        minimum=1,
    )
    send_pictures: bool = option(
        False, "Read the pictures here and send them to the Dask workers, which share no folder."
    )
