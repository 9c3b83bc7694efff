"""Read .npz files that training wrote."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened

# each of them is what a flipped bit can cause; TypeError is for a .npy file, which has a single array
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,  # numpy's, for an array's header, which is a Python literal
    zlib.error,
    zipfile.BadZipFile,
)

MAX_RATIO, FREE_BYTES = 100, 64 << 20
"""How many times its size, besides 64 MiB, a file may unpack to; logits in half precision unpack to twice theirs."""


def read_arrays(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of a .npz file.

    Args:
        path: The file.
        expected: What the file should be, for the error message.

    Returns:
        The arrays by name.

    Raises:
        ModelError: The file is missing, damaged or no .npz file.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; expected {expected}") from None
    except _DAMAGE as error:
        reason = shortened(error, 120) or "it is cut off"
        raise ModelError(f"{path} is damaged, or no .npz file: {reason}; expected {expected}") from None


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Read one array of a .npz file, and not the others.

    Args:
        path: The file.
        name: The array's name.

    Returns:
        The array.

    Raises:
        ValueError: The file or the array is missing or damaged; the message is one line without the path.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as stored:
            return np.asarray(stored[name])
    except _DAMAGE as error:
        raise ValueError(shortened(error, 120) or "it is cut off") from None


def _check_size(path: Path) -> None:
    """ValueError where the file unpacks to far more than arrays of weights or faces do, or is none."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > FREE_BYTES + MAX_RATIO * path.stat().st_size:
            raise ValueError(f"it unpacks to {total >> 20} MiB")
