"""Environment variables of native libraries."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from fer_edge.edge.device import environment
from fer_edge.edge.device.environment import OPENCV, set_environment_defaults

EDGE = Path(environment.__file__).resolve().parents[1]


def test_the_users_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OPENCV:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "48")
    set_environment_defaults(OPENCV)
    assert {name: os.environ[name] for name in OPENCV} == OPENCV | {"OPENCV_FFMPEG_LOGLEVEL": "48"}


def writes_environment(path: Path) -> bool:
    """Whether a module writes to `os.environ`."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case (
                ast.Call(func=ast.Attribute(value=target, attr="setdefault" | "update" | "pop"))
                | ast.Subscript(value=target, ctx=ast.Store() | ast.Del())
            ) if ast.unparse(target) == "os.environ":
                return True
            case ast.Call(func=ast.Attribute(attr="putenv" | "unsetenv")):
                return True
    return False


def test_one_module_writes_to_the_environment() -> None:
    modules = [path for path in EDGE.rglob("*.py") if writes_environment(path)]
    assert modules == [Path(environment.__file__).resolve()]
