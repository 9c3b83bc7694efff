"""Side by side with other packages: the same clip, the same core, in turns, each in an environment of its own."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from fer_edge.benchmarks import peer_worker
from fer_edge.benchmarks.fixtures.clips import PORTRAIT, RATE, write_clip
from fer_edge.benchmarks.latency import share, summary
from fer_edge.benchmarks.options import labelled_pictures, result_file
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, identity, labelled, write
from fer_edge.edge.terminal import track

PACKAGES = {
    "fer": ("fer==25.10.3", "setuptools<81"),
    # its cascade needs an OpenCV before 5, which it does not ask for
    "facex": ("facex==1.1.0", "opencv-contrib-python<5"),
    # our ensemble behind OpenCV's cascade, which OpenCV 5 has not: our own environment with an older OpenCV
    "haar": ("opencv-python<5",),
}

OURS = ("run", "ensemble", "mobilenet_v2")
"""As `run` does it with a clip, following faces and asking the cascade; then every frame anew, by all and by one."""

SPECS = {"run": "ensemble", "haar": "ensemble"}
"""Which of our models a name stands for that is not one's."""

ROUNDS = 10

SIZE = (640, 480)

CLIP = 100
"""Frames of the clip, which begins again where it ended: four seconds of a face that sways."""


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@click.option("--frames", type=click.IntRange(ROUNDS), default=100, help="Frames that each looks at.")
@click.option("--picture", type=click.Path(path_type=Path), default=PORTRAIT, help="A picture of one face.")
@click.option("--core", type=click.IntRange(0), default=0, help="The processor core that all of them run on.")
@click.option(
    "--environments",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/peers"),
    help="Where their environments lie, or are made: gigabytes.",
)
@result_file
def peers(
    models: tuple[str, ...],
    data: Path,
    split: str,
    limit: int | None,
    frames: int,
    picture: Path,
    core: int,
    environments: Path,
    out: Path | None,
) -> None:
    """Measure PyPI's fer and facex, the shipped models and MODELs beside each other on one core.

    MODELs are .tflite files or an ensemble's .json, such as one of float32 networks. 'haar' is the shipped ensemble
    behind OpenCV's Haar cascade, the detector of the other packages. 'frame' is a 640x480 frame of one swaying face
    from pixels to scores, 'classifier' the networks alone, 'first' the time from starting to import the package to its
    first answer; the Python that imports it runs already ('bench start' measures whole processes).
    """
    abouts = {name: identity(SPECS.get(name, name)) for name in ("haar", *OURS, *models)}
    part, described = labelled(data, split, limit)
    pythons = {name: _environment(environments / name, wanted) for name, wanted in PACKAGES.items()}
    if "haar" in pythons:
        _lend(pythons["haar"])
    pythons |= dict.fromkeys((*OURS, *models), Path(sys.executable))
    before = condition()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closing:
        clip, faces = Path(folder) / "clip.avi", Path(folder) / "faces.npy"
        write_clip(clip, CLIP, 1, *SIZE, picture)
        np.save(faces, part.faces)
        workers = {name: closing.enter_context(_worker(name, python, clip, core)) for name, python in pythons.items()}
        rows = _measured(workers, faces, part.labels, frames)
    for row in rows:
        name, packages = row["name"], PACKAGES.get(row["name"], ())
        if name in abouts:
            about, packages = abouts[name], ("fer-edge", *packages)
            row |= {"name": name if name in SPECS else about["model"], "sha256": about["sha256"]}
        row["package"] = ", ".join(packages)
    body = {"data": described, "frames": frames, "before": before, "after": condition(), "rows": rows}
    path = write("peers", body, out)
    for row in rows:
        alone = f"classifier {row['classifier']['p50']:7.3f} ms" if "classifier" in row else ""
        click.echo(
            f"{row['name']:28} {100 * row['accuracy']:6.2f} %  frame mean {row['frame']['mean']:8.2f} ms  "
            f"{alone:21}  first {row['first_ms']:7.0f} ms  {row['peak_mib']:.0f} MiB"
        )
    click.echo(f"wrote {path}", err=True)


def _environment(folder: Path, wanted: tuple[str, ...]) -> Path:
    """The Python of an environment with the packages, made where it is not there yet; ResultError says why not."""
    python = folder / "bin" / "python"
    mark = folder / "ready.txt"
    if mark.is_file() and mark.read_text("utf-8") == " ".join(wanted):
        return python
    click.echo(f"making {folder} with {' '.join(wanted)}: minutes, and gigabytes", err=True)
    venv.create(folder, with_pip=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{folder}: pip could not install {' '.join(wanted)}: {last}")
    mark.write_text(" ".join(wanted), "utf-8")
    return python


def _lend(python: Path) -> None:
    """Let an environment's Python find what this one has, behind its own packages."""
    (beside,) = python.parent.parent.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (beside / "lent.pth").write_text("".join(lines), "utf-8")


class _Worker:
    """A process that answers a line with a line."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self.name, self._process, self._errors = name, process, errors
        self.opened = self._answer()

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request's answer; ResultError where the process ended instead."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            raise ResultError(f"{self.name} failed in its environment: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _worker(name: str, python: Path, clip: Path, core: int) -> Iterator[_Worker]:
    command = [str(python), str(Path(peer_worker.__file__)), name, str(clip), str(RATE)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        try:
            yield _Worker(name, process, errors)
        finally:
            process.kill()
            process.wait()


def _measured(workers: dict[str, _Worker], faces: Path, labels: Any, frames: int) -> list[dict[str, Any]]:
    """Frames and classifier calls in turns, then each one's answers for the labelled faces."""
    times: dict[str, dict[str, list[list[float]]]] = {name: {"frame": [], "classify": []} for name in workers}
    for worker in workers.values():
        for what in ("frame", "classify"):
            worker.ask(do=what, count=5)
    for turn in track(range(ROUNDS), "turns", ROUNDS):
        for name, worker in workers.items():
            times[name]["frame"].append(worker.ask(do="frame", count=share(frames, turn, ROUNDS))["ms"])
            times[name]["classify"].append(worker.ask(do="classify", count=20)["ms"])
    rows = []
    for name, worker in workers.items():
        memory = worker.ask(do="classify", count=1)["peak_mib"]
        answers = np.array(worker.ask(do="faces", path=str(faces))["answers"])
        frame, alone = np.concatenate(times[name]["frame"]), np.concatenate(times[name]["classify"])
        rows.append(
            {
                "name": name,
                "first_ms": round(worker.opened["first_ms"], 1),
                "faces_found": worker.opened["faces"],
                "frame": summary(frame),
                "rounds": [round(float(np.mean(turn)), 4) for turn in times[name]["frame"]],
                **({"classifier": summary(alone)} if len(alone) else {}),
                "peak_mib": round(memory, 1),
                "python": worker.opened["python"],
                "packages": worker.opened["packages"],
                "accuracy": round(float(np.mean(answers == labels)), 5),
                "correct": "".join(str(int(right)) for right in answers == labels),
            }
        )
    return [{**row, **_beside_run(row, rows)} for row in rows]


def _beside_run(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many times as long a frame takes, in the mean, as `run` takes for it, and the 95 % interval of that."""
    (ours,) = (each for each in rows if each["name"] == "run")
    low, high = ratio_interval(row["rounds"], ours["rounds"], paired=True, average=np.mean)
    ratio = row["frame"]["mean"] / ours["frame"]["mean"]
    return {"ratio": round(ratio, 3), "ratio_interval": [round(low, 3), round(high, 3)]}
