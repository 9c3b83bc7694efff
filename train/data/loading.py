"""Load a data set: FER2013's CSV or a tree of class folders."""

from __future__ import annotations

import logging
from pathlib import Path

from fer_edge.edge.errors import DataError
from fer_edge.train.data.class_folders import listed, read_folders
from fer_edge.train.data.fer2013 import read_csv
from fer_edge.train.data.splits import Dataset

_logger = logging.getLogger(__name__)


def load(path: Path | str, *, skip_bad: bool = False) -> Dataset:
    """Load a labelled data set.

    Args:
        path: A FER2013 CSV (plain, .gz, .xz or .zip), which is parsed once and cached beside it as NAME.fer2013.npz, or
            the root of a class-folder tree (SPLIT/CLASS/picture).
        skip_bad: Whether bad rows and pictures are skipped, and their number logged, instead of raising.

    Returns:
        The splits that there are, as (N, 48, 48) uint8 faces and (N,) int64 labels with the names of their classes.

    Raises:
        DataError: There is no such file or folder, it is no data set, or a row or picture is bad; the error names the
            row's number or the picture's path.
    """
    path = Path(path)
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file or folder; expected a FER2013 CSV or a tree of class folders")
    dataset = read_folders(path, skip_bad) if path.is_dir() else read_csv(path, skip_bad)
    if dataset.skipped:
        _logger.info(f"{path}: {dataset.skipped} bad {'pictures' if path.is_dir() else 'rows'} skipped")
    if dataset.left_out:
        _logger.warning(f"{path}: left out: {listed(dataset.left_out)}")
    return dataset
