"""What a data set's owner should know of it before training on it, in words."""

from __future__ import annotations

from collections.abc import Mapping

from fer_edge.train.data.listing import LARGE, OBLONG, TINY
from fer_edge.train.data.splits import Dataset


def remarks(dataset: Dataset) -> list[str]:
    """One line each: classes without pictures, tiny and large pictures, what was skipped and left out."""
    lines = []
    absent = absent_classes(dataset)
    everywhere = set(dataset.classes).intersection(*map(set, absent.values())) if absent else set()
    for name, classes in absent.items():
        missing = [each for each in classes if each not in everywhere]
        lines += [f"no picture of {', '.join(missing)} in the {name} split"] if missing else []
    if everywhere:
        lines.insert(
            0, f"no picture of {', '.join(each for each in dataset.classes if each in everywhere)} in any split"
        )
    if dataset.tiny:
        lines.append(f"{dataset.tiny} pictures have a side of less than {TINY} pixels and show little of a face")
    if dataset.large:
        lines.append(
            f"{dataset.large} pictures may show more than a face (a side of {LARGE} pixels or more, or more than "
            f"{OBLONG:g} times the other); `fer-edge data crop` cuts out the faces"
        )
    if dataset.skipped:
        lines.append(f"{dataset.skipped} bad {'pictures' if dataset.files else 'rows'} skipped")
    if dataset.left_out:
        lines.append(f"left out: {listed(dataset.left_out)}")
    return lines


def absent_classes(dataset: Dataset) -> dict[str, list[str]]:
    """The classes without a picture by split."""
    return {
        name: [each for each, count in zip(dataset.classes, split.counts(), strict=True) if not count]
        for name, split in dataset.splits.items()
    }


def listed(left_out: Mapping[str, int]) -> str:
    """The counts of what a tree holds besides its pictures, in words."""
    return ", ".join(f"{name} ({count})" for name, count in left_out.items())
