"""Which data set a command reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import SPLITS, Dataset, Split


@dataclass(frozen=True)
class DataOptions:
    """Where labelled faces come from; a command takes the fields that it needs (`options_from(…, only=…)`).

    Attributes:
        data: FER2013's CSV or the root of a class-folder tree.
        skip_bad: Whether unreadable rows and pictures are left out instead of raising.
        split: The split that is measured.
    """

    data: Path = option(
        None, "FER2013 CSV (plain, .gz, .xz or .zip) or class-folder tree.", metavar="PATH", required=True
    )
    skip_bad: bool = option(False, "Skip unreadable rows and pictures, and report how many.")
    split: str = option("val", "Split to measure: Training, PublicTest or PrivateTest of FER2013.", choices=SPLITS)

    def load(self) -> Dataset:
        """The data set; DataError as `load` raises it."""
        return load(self.data, skip_bad=self.skip_bad)

    def load_split(self) -> Split:
        """The chosen split; DataError where the data set has none of that name."""
        return self.load().split(self.split)
