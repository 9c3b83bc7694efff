"""Read .npz files that training wrote."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError

# each of them is what a flipped bit can cause; TypeError is for a .npy file, which has a single array
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)


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
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; expected {expected}") from None
    except _DAMAGE as error:
        reason = str(error).splitlines()[0][:120] if str(error) else "it is cut off"
        raise ModelError(f"{path} is damaged, or no .npz file: {reason}; expected {expected}") from None
