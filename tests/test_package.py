"""The package as a device gets it: what the wheel holds, and what importing the runtime loads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from fer_edge.models import FOLDER

ROOT = FOLDER.parent

KERAS_FREE = tuple(f"fer_edge.train.{room}" for room in ("data", "evaluation", "ensemble", "commands"))

IMPORT_ALL = """
import importlib, pkgutil, sys
for room in {rooms}:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
print(*(name for name in sys.modules if name.split(".")[0] in {libraries} or name.startswith({ours})))
"""


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The wheel's file names."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_the_wheel_has_one_package_and_all_its_modules(names: list[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"fer_edge", f"fer_edge-{version('fer-edge')}.dist-info"}
    rooms = ("edge", "train", "convert", "benchmarks", "models")
    modules = {f"fer_edge/{path.relative_to(ROOT)}" for room in rooms for path in (ROOT / room).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == {"fer_edge/__init__.py", *modules}


@pytest.mark.slow
def test_the_wheel_carries_the_models_and_their_cards(names: list[str]) -> None:
    files = [path for path in FOLDER.iterdir() if path.suffix in (".tflite", ".json")]
    files += [path for path in (FOLDER / "face").iterdir() if path.is_file()]
    assert {f"fer_edge/models/{path.relative_to(FOLDER)}" for path in files} <= set(names)


@pytest.mark.slow
def test_the_wheel_carries_the_page_and_the_portrait(names: list[str]) -> None:
    """And says that it is typed."""
    files = [ROOT / "py.typed", ROOT / "benchmarks" / "astronaut.jpg", *(ROOT / "edge" / "web" / "static").iterdir()]
    assert {f"fer_edge/{path.relative_to(ROOT)}" for path in files} <= set(names)


@pytest.mark.slow
def test_the_wheel_carries_the_licence(names: list[str]) -> None:
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize(
    ("rooms", "ours"),
    [
        (("fer_edge.edge", "fer_edge.models"), ("fer_edge.train", "fer_edge.convert", "fer_edge.benchmarks")),
        (("fer_edge.benchmarks",), ("fer_edge.convert",)),
        (KERAS_FREE, ("fer_edge.convert", "fer_edge.benchmarks")),
    ],
)
def test_the_rooms_of_the_runtime_load_nothing_heavy(rooms: tuple[str, ...], ours: tuple[str, ...]) -> None:
    libraries = ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "torch", "jax", "matplotlib")
    code = IMPORT_ALL.format(rooms=rooms, libraries=libraries, ours=ours)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_runtime_works_with_numpy_1_opencv_4_and_tflite_runtime(tmp_path: Path, tflite_python: Path) -> None:
    picture = ROOT / "benchmarks" / "astronaut.jpg"
    command = [str(tflite_python), "-m", "fer_edge.edge.cli", "run", "--source", str(picture)]
    command += ["--show", "text", "--save-picture", str(tmp_path / "annotated.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tflite-runtime" in done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "annotated.png").exists()
