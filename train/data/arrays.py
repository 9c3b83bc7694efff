"""Arrays that training left in a .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError

# every one of them comes of a flipped bit; a TypeError of a .npy file under this name, which has one array alone
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)


def read_arrays(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    """Every array of a .npz file by its name; ModelError, which says what was expected, where there is none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; expected {expected}") from None
    except _DAMAGE as error:
        what = str(error).splitlines()[0][:120] if str(error) else "it is cut off"
        raise ModelError(f"{path} is damaged, or no .npz file: {what}; expected {expected}") from None
