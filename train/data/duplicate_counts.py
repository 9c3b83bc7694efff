"""How many pictures a data set holds more than once, within its splits and across them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.data.conflicts import conflicting
from fer_edge.train.data.duplicates import constant, digests, equal_groups, exact_groups, overlap, photograph_groups
from fer_edge.train.data.splits import SPLITS, Dataset

Counts = dict[str, dict[str, Any]]


def count_duplicates(dataset: Dataset, near: bool = True) -> Counts:
    """Count duplicates within and across splits.

    Args:
        dataset: The data set.
        near: Whether to search for the same photographs, which takes longest; without, nothing is said of them.

    Returns:
        By split: `constant`, pictures of one gray level; `exact` and `photograph`, the groups of rows that are equal
        byte for byte or show one photograph, as `groups`, `rows` in them, `conflicting_groups` with several labels and
        `conflicting_rows` in those; and `in_SPLIT` for each earlier split, with the `exact` rows that are there byte
        for byte, and the `photograph` rows whose photograph is there, the exact ones included. Under `all`, of several
        splits together, what is equal byte for byte.
    """
    counts: Counts = {}
    for name, split in dataset.splits.items():
        counts[name] = {
            "constant": int(constant(split).sum()),
            "exact": _group_counts(exact_groups(split), split.labels),
        }
        if near:
            counts[name]["photograph"] = _group_counts(photograph_groups(split), split.labels)
    for earlier, later in combinations([name for name in SPLITS if name in dataset.splits], 2):
        rows = overlap(dataset.split(later), dataset.split(earlier), near)
        counts[later][f"in_{earlier}"] = {"exact": int(rows.exact.sum())}
        if near:
            counts[later][f"in_{earlier}"]["photograph"] = int((~rows.clean).sum())
    if len(dataset.splits) > 1:
        constants = sum(split["constant"] for split in counts.values())
        counts["all"] = {"constant": constants, "exact": _exact_counts(dataset)}
    return counts


def conflicting_files(dataset: Dataset, near: bool = True) -> list[list[str]]:
    """The picture files of one photograph with several labels in one split, a list for each photograph.

    Args:
        dataset: The data set; one without picture files has none.
        near: Whether pictures of one photograph count, or those alone that are equal byte for byte.
    """
    found = []
    for name, files in dataset.files.items():
        split = dataset.splits[name]
        groups = photograph_groups(split) if near else exact_groups(split)
        mixed = conflicting(groups, split.labels)
        found += [
            [files[row] for row in np.flatnonzero(groups == first).tolist()] for first in np.unique(groups[mixed])
        ]
    return found


def duplicate_remarks(dataset: Dataset) -> list[str]:
    """What is there several times, byte for byte, or shows nothing, a line each.

    It takes a second for 30,000 pictures. Near-duplicates, which take longer, are not searched.
    """
    counts, lines = _exact_counts(dataset), []
    if counts["groups"]:
        mixed = counts["conflicting_groups"]
        lines.append(
            f"{counts['rows']} rows are {counts['groups']} pictures, each several times byte for byte"
            + (f", {mixed} of them with several labels (see --conflicts)" if mixed else "")
        )
    known: set[bytes] = set()
    if "train" in dataset.splits:
        known = set(digests(dataset.splits["train"].faces))
    for name, split in dataset.splits.items():
        count = 0 if name == "train" else sum(digest in known for digest in digests(split.faces))
        lines += [f"{count} of {len(split)} rows of {name} are in train too (see --drop-duplicates)"] if count else []
    gray = sum(int(constant(split).sum()) for split in dataset.splits.values())
    return lines + ([f"{gray} pictures have one gray level and show nothing"] if gray else [])


def _exact_counts(dataset: Dataset) -> dict[str, int]:
    """`_group_counts` of the rows of all splits that are equal byte for byte."""
    labels = np.concatenate([split.labels for split in dataset.splits.values()])
    return _group_counts(
        equal_groups([row for split in dataset.splits.values() for row in digests(split.faces)]), labels
    )


def _group_counts(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, int]:
    """Groups of several rows, and those among them with several labels."""
    several, mixed = np.bincount(groups, minlength=len(groups)) > 1, conflicting(groups, labels)
    return {
        "groups": int(several.sum()),
        "rows": int(several[groups].sum()),
        "conflicting_groups": len(np.unique(groups[mixed])),
        "conflicting_rows": int(mixed.sum()),
    }


def duplicates_table(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of a table of `count_duplicates`, a column per split."""
    lines = [f"{'duplicates':40}" + "".join(f"{name:>9}" for name in counts)]

    def add(title: str, *keys: str) -> None:
        values = []
        for split in counts.values():
            value: Any = split
            for key in keys:
                value = value.get(key, {})
            values.append(f"{value if isinstance(value, int) else '–':>9}")
        lines.append(f"{title:40}" + "".join(values))

    near = any("photograph" in split for split in counts.values())
    add("pictures of one gray level", "constant")
    for kind, words in (("exact", "equal byte for byte"), *((("photograph", "of one photograph"),) if near else ())):
        add(f"groups {words}", kind, "groups")
        add("  rows in them", kind, "rows")
        add("  groups with several labels", kind, "conflicting_groups")
        add("  rows in those", kind, "conflicting_rows")
    for earlier in counts:
        if any(f"in_{earlier}" in split for split in counts.values()):
            add(f"rows byte for byte in {earlier}", f"in_{earlier}", "exact")
            if near:
                add(f"rows whose photograph is in {earlier}", f"in_{earlier}", "photograph")
    return lines
