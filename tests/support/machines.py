"""Made-up machines for `fer-edge doctor` to check."""

from __future__ import annotations

import os
from pathlib import Path

from fer_edge.edge.doctor.check import Machine

PI5 = "Raspberry Pi 5 Model B Rev 1.0"


def tree(root: Path, **files: str) -> Machine:
    """A made-up machine; double underscores in the names stand for slashes."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(root=root, environ={"PATH": os.environ["PATH"]}, prefix=root / "venv")


def blocked(tmp_path: Path, **modules: str) -> Machine:
    """This environment with modules in front of the real ones, as broken packages are."""
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    return Machine(environ=os.environ | {"PYTHONPATH": path})
