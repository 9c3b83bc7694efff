"""Processes of other packages: an environment for each, and a worker in it that answers requests."""

from __future__ import annotations

import json
import os
import site
import subprocess
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks import peer_worker
from fer_edge.benchmarks.fixtures.clips import RATE
from fer_edge.benchmarks.results_io.record import ResultError


def open_environment(folder: Path, requirements: tuple[str, ...]) -> Path:
    """A virtual environment with some packages, which is made unless it is there already.

    Args:
        folder: The environment's folder.
        requirements: What pip installs into it.

    Returns:
        Its Python.

    Raises:
        ResultError: pip could not install the packages.
    """
    python = folder / "bin" / "python"
    mark = folder / "ready.txt"
    if mark.is_file() and mark.read_text("utf-8") == " ".join(requirements):
        return python
    click.echo(f"making {folder} with {' '.join(requirements)}; this takes minutes and gigabytes", err=True)
    venv.create(folder, with_pip=True)
    pip = subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], capture_output=True, text=True)
    if pip.returncode:
        last = (pip.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{folder}: pip could not install {' '.join(requirements)}: {last}")
    mark.write_text(" ".join(requirements), "utf-8")
    return python


def share_packages(python: Path) -> None:
    """Let another environment's Python import this one's packages too; its own come first."""
    (site_packages,) = python.parent.parent.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (site_packages / "shared.pth").write_text("".join(lines), "utf-8")


class PeerProcess:
    """A process of `peer_worker` that answers each request, a JSON line, with another.

    Attributes:
        name: The package or model.
        started: What the process reported when it was ready: the time of the first result and versions.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self.name, self._process, self._errors = name, process, errors
        self.started = self._reply()

    def request(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the reply; ResultError where the process ended instead."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended: its last words are in the error
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._reply()

    def scores(self, faces: Path, classes: Sequence[str]) -> NDArray[np.float32]:
        """Have it classify faces.

        Args:
            faces: An .npy file of (N, 48, 48) uint8 faces.
            classes: (C,) names of the classes.

        Returns:
            (N, C) float32 scores in the order of the classes.

        Raises:
            ResultError: It knows no such class, or the process ended.
        """
        rows = self.request(do="faces", path=str(faces))["scores"]
        for name in classes:
            if rows and name not in rows[0]:
                raise ResultError(f"{self.name} knows no class '{name}'; it knows {', '.join(rows[0])}")
        return np.array([[row[name] for name in classes] for row in rows], np.float32).reshape(-1, len(classes))

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            raise ResultError(f"{self.name} failed in its environment: {last}")
        reply: dict[str, Any] = json.loads(line)
        return reply


@contextmanager
def open_peer(name: str, python: Path, clip: Path, core: int | None = None) -> Iterator[PeerProcess]:
    """Start a worker for a package or model, and stop it at the end.

    Args:
        name: What `peer_worker` opens: fer, facex, run, haar, or a model.
        python: The Python of its environment.
        clip: The clip whose frames it processes.
        core: The processor core that it is pinned to; None for any.

    Yields:
        The process, ready for requests.

    Raises:
        ResultError: The package or model could not be opened.
    """
    command = [str(python), str(Path(peer_worker.__file__)), name, str(clip), str(RATE)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command if core is None else ["taskset", "--cpu-list", str(core), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        try:
            yield PeerProcess(name, process, errors)
        finally:
            process.kill()
            process.wait()
