"""Which data set a command reads, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import SPLITS, Dataset, Split

HOW = ("classes", "ferplus_labels", "val_share", "skip_bad")
"""The fields that say how a data set is read."""

TRAINED = (*HOW, "drop_duplicates")
"""These, and the field that says what is trained on."""


@dataclass(frozen=True)
class DataOptions:
    """Where labelled faces come from; a command takes the fields that it needs (`options_from(…, only=…)`).

    Attributes:
        data: FER2013's CSV or the root of a class-folder tree.
        classes: The classes in their order, or their names by label; the labels sorted by name where None.
        ferplus_labels: FER+'s CSV, whose votes label FER2013's rows; None for their own labels.
        skip_bad: Whether unreadable rows and pictures are left out instead of raising.
        val_share: Share of train that becomes val; None where there is a val split.
        drop_duplicates: Whether train loses what it holds again or another split holds too.
        split: The split that is measured.
    """

    data: Path = option(
        None,
        "CSV, FER2013's or another (plain, .gz, .xz or .zip), or class-folder tree.",
        metavar="PATH",
        required=True,
    )
    classes: str | None = option(
        None,
        "Classes in their order (drowsy,awake), or their names by label (1=surprise,2=fear), or fer2013.",
        metavar="NAMES",
        show_default="the labels sorted by name; FER2013's seven if all of them are there",
        example="drowsy,awake",
    )
    ferplus_labels: Path | None = option(
        None,
        "Label FER2013's rows by the annotators' votes of FER+ (its fer2013new.csv): eight classes, with contempt.",
        metavar="CSV",
        example="fer2013new.csv",
    )
    skip_bad: bool = option(False, "Skip unreadable rows and pictures, and report how many.")
    val_share: float | None = option(
        None,
        "Share of each class of train that becomes val, with all pictures of one source on one side; the same pictures "
        "each time.",
        metavar="SHARE",
        minimum=0.01,
        maximum=0.5,
        show_default="none, as the data has a val split",
        example=0.15,
    )
    drop_duplicates: bool = option(
        False, "Leave out of train what val or test hold too, and what it holds again with the same label."
    )
    split: str = option("val", "Split to measure: Training, PublicTest or PrivateTest of FER2013.", choices=SPLITS)

    def load(self, path: Path | None = None) -> Dataset:
        """The data set, or another one that is read in the same way; DataError as `load` raises it."""
        return load(
            path or self.data,
            skip_bad=self.skip_bad,
            classes=self.classes,
            ferplus=self.ferplus_labels,
            val_share=self.val_share,
            drop_duplicates=self.drop_duplicates,
        )

    def words(self) -> list[str]:
        """The fields that say how the data set is read, as words of a command line."""
        words = [] if self.classes is None else ["--classes", self.classes]
        words += [] if self.ferplus_labels is None else ["--ferplus-labels", str(self.ferplus_labels)]
        words += [] if self.val_share is None else ["--val-share", str(self.val_share)]
        words += ["--drop-duplicates"] if self.drop_duplicates else []
        return words + (["--skip-bad"] if self.skip_bad else [])

    def load_split(self) -> Split:
        """The chosen split; DataError where the data set has none of that name."""
        return self.load().split(self.split)
