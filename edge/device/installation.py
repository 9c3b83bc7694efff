"""How fer-edge was installed, and the commands that add to it or repair it.

The name fer-edge on a public package index may belong to somebody else, so no command here fetches it from one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fer_edge.edge.device.version import ROOT

EXTRA = re.compile(r"(?:^|\s+and\s+)extra\s*==\s*[\"']([\w.-]+)[\"']\s*$")
"""The end of a Requires-Dist marker that names an extra, as setuptools writes it."""


@dataclass(frozen=True)
class Installation:
    """Where the installed fer-edge came from.

    Attributes:
        checkout: The repository that it was installed from, None where that is gone or it came from an archive.
        editable: Whether the checkout's own files run.
        archive: The wheel's or source archive's URL, None where it is unknown.
        requires: The requirements in the package metadata (Requires-Dist), each with its marker.
    """

    checkout: Path | None = None
    editable: bool = False
    archive: str | None = None
    requires: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The installation in words, for a report."""
        if self.checkout is not None:
            return f"{'checkout' if self.editable else 'installed from'} {self.checkout}"
        return f"installed from {self.archive}" if self.archive else "installed from a package"


def installation(root: Path = ROOT) -> Installation:
    """The installation that runs, from where its files lie and from pip's record of where they came from.

    Args:
        root: The folder of the package `fer_edge`.

    Returns:
        The installation. The record is direct_url.json, https://packaging.python.org/specifications/direct-url/.
    """
    try:
        package = distribution("fer-edge")
    except PackageNotFoundError:
        package = None
    requires = tuple(package.requires or ()) if package else ()
    if (root / "setup.cfg").is_file():
        return Installation(root, True, None, requires)
    url = _direct_url(package) if package else ""
    folder = Path(unquote(urlsplit(url).path))
    if url.startswith("file:") and (folder / "setup.cfg").is_file():
        return Installation(folder, False, None, requires)
    return Installation(None, False, url or None, requires)


def pip_install(*words: str) -> str:
    """A command for a shell that installs into this Python's environment.

    Args:
        *words: Requirements such as "numpy<2", and pip's options.

    Returns:
        `pip install 'numpy<2'`; where `pip` would be another environment's, this one's with its path.
    """
    own = Path(sys.executable).with_name("pip")
    if not own.exists():
        pip = f"{_own_tool(Path(sys.executable))} -m pip"
    else:
        pip = "pip" if shutil.which("pip") == str(own) else _own_tool(own)
    return f"{pip} install {' '.join(map(shlex.quote, words))}"


def install_extra(extra: str | None = None, place: Installation | None = None) -> str:
    """The command that installs an extra's requirements.

    Args:
        extra: The extra's name, None for what fer-edge always needs.
        place: The installation, the running one where None.

    Returns:
        `pip install -e '.[train]'` with the checkout's path, or the requirements by name where there is no checkout.
    """
    place = place or installation()
    if place.checkout is not None:
        # never a bare name: pip would take it for that of a package on the index
        folder = "." if place.checkout == Path.cwd() else str(place.checkout)
        path = f"{folder}[{extra}]" if extra else folder
        return pip_install(*(["-e"] if place.editable else []), path)
    return pip_install(*_requirements(place.requires, extra))


def restore_models(place: Installation | None = None) -> str:
    """What brings back the shipped models where a file of them is damaged or lost.

    Args:
        place: The installation, the running one where None.

    Returns:
        A command, or a sentence where the place that it was installed from is unknown.
    """
    place = place or installation()
    if place.checkout is not None and place.editable:
        return f"git -C {shlex.quote(str(place.checkout))} restore models"
    source = str(place.checkout or place.archive or "")
    if not source:
        return "install fer-edge again from its wheel or repository"
    return pip_install("--force-reinstall", "--no-deps", source)


def _own_tool(path: Path) -> str:
    """A program of this environment as a word for the shell, from the working folder where it lies below it."""
    short = os.path.relpath(path)
    return shlex.quote(short if "/" in short and not short.startswith("..") else str(path))


def _direct_url(package: Distribution) -> str:
    """The URL that pip recorded, with git+ before one that it cloned; empty where it recorded none."""
    try:
        record = json.loads(package.read_text("direct_url.json") or "{}")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(record, dict) or not isinstance(record.get("vcs_info", {}), dict):
        return ""
    vcs = record.get("vcs_info", {}).get("vcs")
    return f"{vcs}+{record.get('url', '')}" if vcs else str(record.get("url", ""))


def _requirements(requires: Sequence[str], extra: str | None) -> list[str]:
    """The requirements of an extra, or of no extra, without that part of their markers."""
    chosen = []
    for each in requires:
        requirement, _, marker = (part.strip() for part in each.partition(";"))
        match = EXTRA.search(marker)
        if (match[1] if match else None) == extra:
            rest = EXTRA.sub("", marker)
            chosen.append(f"{requirement}; {rest}" if rest else requirement)
    return chosen
