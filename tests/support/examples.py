"""The scripts of examples/ as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from fer_edge.models import FOLDER

EXAMPLES = FOLDER.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_clip = example("make_clip")
environment = example("environment")
