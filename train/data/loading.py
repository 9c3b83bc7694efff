"""A data set from what a user has: FER2013's CSV or a tree of class folders.

Nothing here imports Keras: `fer-edge data …` and the evaluation of int8 models need the runtime alone.
"""

from __future__ import annotations

import logging
from pathlib import Path

from fer_edge.edge.errors import DataError
from fer_edge.train.data.class_folders import read_folders
from fer_edge.train.data.fer2013 import read_csv
from fer_edge.train.data.splits import Dataset

_logger = logging.getLogger(__name__)


def load(path: Path | str, *, skip_bad: bool = False) -> Dataset:
    """Read a FER2013 CSV (plain, .gz, .xz or .zip) or a class-folder tree.

    A CSV is parsed once and cached beside it as NAME.fer2013.npz. A bad row or picture raises DataError with its
    row number or path, unless skip_bad, which leaves it out and logs how many there were.
    """
    path = Path(path)
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file or folder; expected a FER2013 CSV or a tree of class folders")
    dataset = read_folders(path, skip_bad) if path.is_dir() else read_csv(path, skip_bad)
    if dataset.skipped:
        _logger.info(f"{path}: {dataset.skipped} bad {'pictures' if path.is_dir() else 'rows'} skipped")
    return dataset
