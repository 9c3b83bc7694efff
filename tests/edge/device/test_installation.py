"""How fer-edge was installed, and whether the commands for what is missing fit that: by real environments."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import venv
from importlib.metadata import requires
from pathlib import Path

import pytest

from fer_edge.edge.device.installation import (
    Installation,
    install_extra,
    installation,
    pip_install,
    restore_models,
)
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
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment with pip."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, symlinks=True, with_pip=True)
    return folder


def report(environment: Path, source: Path, *options: str, folder: Path | None = None) -> list[str]:
    """What an environment with fer-edge from this source says of itself."""
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *options, source]
    subprocess.run(install, check=True, capture_output=True)
    done = subprocess.run(
        [python, "-P", "-c", REPORT], capture_output=True, text=True, check=True, cwd=folder or environment
    )
    lines: list[str] = json.loads(done.stdout)
    return lines


def packages(command: str) -> set[str]:
    """What a command of pip installs, by name and version."""
    return set(shlex.split(command.partition(" install ")[2]))


def test_an_installed_wheel_names_requirements(environment: Path, wheel: Path) -> None:
    name, restore, train, web, runtime = report(environment, wheel)
    assert name == f"installed from {wheel.as_uri()}"
    assert packages(restore) == {"--force-reinstall", "--no-deps", wheel.as_uri()}
    declared = [(each.partition(";")[0].strip(), each) for each in requires("fer-edge") or ()]
    assert packages(train) == {each for each, whole in declared if '"train"' in whole}
    assert packages(web) == {each for each, whole in declared if '"web"' in whole}
    assert packages(runtime) == {each for each, whole in declared if "extra" not in whole}
    assert train.startswith("bin/pip install ")
    assert not [word for command in (train, web, runtime) for word in packages(command) if word.startswith("fer-edge")]


def test_a_copy_of_the_repository_names_the_repository(environment: Path, tmp_path: Path, wheel: Path) -> None:
    """Installed without -e: pip's record names the folder."""
    report(environment, wheel)
    (record,) = environment.glob("lib/python*/site-packages/fer_edge-*.dist-info/direct_url.json")
    record.write_text(json.dumps({"url": ROOT.as_uri(), "dir_info": {}}))
    done = subprocess.run(
        [environment / "bin" / "python", "-P", "-c", REPORT], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    name, restore, train, *_ = json.loads(done.stdout)
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
