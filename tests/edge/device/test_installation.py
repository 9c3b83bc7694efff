"""How fer-edge was installed, and whether the commands for what is missing fit that: by real environments."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import click
import pytest

from fer_edge.edge.device.installation import (
    Installation,
    install_extra,
    installation,
    pip_install,
    restore_models,
)
from fer_edge.edge.device.version import package_version
from fer_edge.models import FOLDER

ROOT = FOLDER.parent

REPORT = """
import json
from fer_edge.edge.device import installation as module
place = module.installation()
extras = [module.install_extra(extra) for extra in ("train", "web", None)]
print(json.dumps([place.name, module.restore_models(), *extras]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A virtual environment with pip and the wheel alone."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, symlinks=True, with_pip=True)
    install = [folder / "bin" / "pip", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    return folder


def report(environment: Path, folder: Path) -> list[str]:
    """What the environment's fer-edge reports of its installation, in this working folder."""
    command = [environment / "bin" / "python", "-P", "-c", REPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    lines: list[str] = json.loads(done.stdout)
    return lines


def requirements(wheel: Path, extra: str) -> set[str]:
    """An extra's requirements in a wheel's metadata, those without an extra where the name is empty."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    pairs = [line.removeprefix("Requires-Dist: ").split("; ") for line in lines if line.startswith("Requires-Dist: ")]
    return {pair[0] for pair in pairs if pair[1:] == ([f'extra == "{extra}"'] if extra else [])}


def packages(command: str) -> set[str]:
    """What a command of pip installs, by name and version."""
    return set(shlex.split(command.partition(" install ")[2]))


@pytest.mark.slow
def test_an_installed_wheel_names_requirements(environment: Path, wheel: Path) -> None:
    name, restore, train, web, runtime = report(environment, environment)
    assert name == f"installed from {wheel.as_uri()}"
    assert packages(restore) == {"--force-reinstall", "--no-deps", wheel.as_uri()}
    assert packages(train) == requirements(wheel, "train")
    assert packages(web) == requirements(wheel, "web")
    assert packages(runtime) == requirements(wheel, "")
    assert train.startswith("bin/pip install ")
    assert not [word for command in (train, web, runtime) for word in packages(command) if word.startswith("fer-edge")]


@pytest.mark.slow
def test_the_command_of_an_installed_wheel(environment: Path, tmp_path: Path) -> None:
    """Its version has no revision, and what it lacks is named; the dependencies are those of the tests."""
    (own,) = environment.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    (tmp_path / "keras.py").write_text("raise ModuleNotFoundError('No module named keras', name='keras')\n")

    def fer_edge(*words: str) -> subprocess.CompletedProcess[str]:
        command = [environment / "bin" / "python", "-P", "-m", "fer_edge.edge.cli", *words]
        environ = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, cwd=environment, env=environ)

    assert fer_edge("--version").stdout == f"fer-edge {package_version()}\n"
    done = fer_edge("train", "mobilenet_v2", "--data", "x.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("fer-edge: this command needs Keras: bin/pip install ")
    assert "fer-edge" not in packages(done.stderr) and {"h5py", "keras"} <= {
        re.split("[<>=]", word)[0] for word in packages(done.stderr)
    }


@pytest.mark.slow
def test_an_installed_copy_of_the_repository_names_the_repository(environment: Path, tmp_path: Path) -> None:
    """Installed without -e: pip's record names the folder."""
    (record,) = environment.glob("lib/python*/site-packages/fer_edge-*.dist-info/direct_url.json")
    original = record.read_text()
    record.write_text(json.dumps({"url": ROOT.as_uri(), "dir_info": {}}))
    try:
        name, restore, train, *_ = report(environment, tmp_path)
    finally:
        record.write_text(original)
    assert name == f"installed from {ROOT}"
    assert packages(train) == {f"{ROOT}[train]"}
    assert packages(restore) == {"--force-reinstall", "--no-deps", str(ROOT)}


def test_a_checkout_is_installed_again_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = installation()
    assert (place.checkout, place.editable) == (ROOT, True)
    monkeypatch.chdir(tmp_path)
    assert packages(install_extra("train")) == {"-e", f"{ROOT}[train]"}
    monkeypatch.chdir(ROOT)
    assert packages(install_extra("train")) == {"-e", ".[train]"}
    assert packages(install_extra()) == {"-e", "."}
    assert shlex.split(restore_models()) == ["git", "-C", str(ROOT), "restore", "models"]


def test_an_installation_from_nowhere_says_no_index() -> None:
    unknown = Installation(requires=("click>=8.1",))
    assert packages(install_extra(place=unknown)) == {"click>=8.1"}
    assert "pip" not in restore_models(unknown)


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ('keras>=3.10; extra == "train"', {"keras>=3.10"}),
        ("keras >=3.10 ; extra == 'train'", {"keras >=3.10"}),
        ('a; python_version < "3.12" and extra == "train"', {'a; python_version < "3.12"'}),
        (
            'a; (python_version < "3" or os_name == "nt") and extra == "train"',
            {'a; (python_version < "3" or os_name == "nt")'},
        ),
        ('a; extra == "trained"', set()),
        ("a>=1", set()),
        ('a; python_version < "3.12"', set()),
    ],
)
def test_markers_other_than_the_extra_stay(requirement: str, words: set[str]) -> None:
    assert packages(install_extra("train", Installation(requires=(requirement,)))) == words


def test_pip_is_this_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(sys.executable).parent
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(own))
    assert pip_install("numpy<2") == "pip install 'numpy<2'"
    monkeypatch.setenv("PATH", "/nowhere")
    assert pip_install("numpy<2") == f"{own}/pip install 'numpy<2'"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "x y" / "python"))
    assert pip_install("numpy") == "'x y/python' -m pip install numpy"
