"""Beside other packages: the same clip on the same core, in turns, each package in an environment of its own."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.fixtures.clips import PORTRAIT, write_clip
from fer_edge.benchmarks.options import labelled_pictures, result_file
from fer_edge.benchmarks.peer_process import PeerProcess, open_environment, open_peer, share_packages
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, identity, load_split, write
from fer_edge.benchmarks.timing import ROUNDS, calls_in_round, summary
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.terminal import track
from fer_edge.edge.types import option
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.intervals import ratio_interval

PACKAGES = {
    "fer": ("fer==25.10.3", "setuptools<81"),
    # its Haar cascade needs an OpenCV before 5, which its metadata do not require
    "facex": ("facex==1.1.0", "opencv-contrib-python<5"),
    # our ensemble behind OpenCV's Haar cascade, which OpenCV 5 lacks: this environment with an older OpenCV
    "haar": ("opencv-python<5",),
}
"""What pip installs, by name."""

MODELS = ("run", "ensemble", "mobilenet_v2")
"""As `fer-edge run` processes a clip, with tracking, score cache and early exit; then every frame anew."""

MODEL_OF = {"run": "ensemble", "haar": "ensemble"}
"""The model behind a name that is not a model's."""

CLIP_SIZE = (640, 480)

CLIP_FRAMES = 100
"""Four seconds of a swaying face; the last frame leads on to the first."""


@dataclass(frozen=True)
class PeerOptions:
    """What the packages process, and where."""

    frames: int = option(100, "Frames that each package processes.", metavar="N", minimum=ROUNDS)
    picture: Path = option(
        PORTRAIT, "Picture of one face for the clip.", metavar="PATH", show_default="the package's portrait"
    )
    core: int = option(0, "Processor core that all packages run on.", metavar="N", minimum=0)
    environments: Path = option(
        Path("runs/peers"), "Folder for the packages' environments, several gigabytes.", metavar="FOLDER"
    )


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@options_from(PeerOptions)
@result_file
def peers(
    models: tuple[str, ...], data_options: DataOptions, limit: int | None, peer_options: PeerOptions, out: Path | None
) -> None:
    """Measure PyPI's fer and facex, the shipped models and MODELs beside each other on one core.

    MODELs are .tflite or ensemble .json files, for example of float32 networks. 'run' is what `fer-edge run` does
    with the clip; 'haar' is the shipped ensemble behind OpenCV's Haar cascade, the detector of the other packages.

    'frame' is the time of a 640x480 frame of one swaying face, from pixels to scores; 'classifier' that of the networks
    alone; 'first' the time from the start of the package's import to its first result, without the start of Python
    ('bench start' measures whole processes).
    """
    identities = {name: identity(MODEL_OF.get(name, name)) for name in ("haar", *MODELS, *models)}
    part, described = load_split(data_options, limit)
    pythons = _open_environments(peer_options.environments)
    pythons |= dict.fromkeys((*MODELS, *models), Path(sys.executable))
    before = condition()
    rows = _run(pythons, part, peer_options)
    for row in rows:
        name, packages = row["name"], PACKAGES.get(row["name"], ())
        if name in identities:
            model, packages = identities[name], ("fer-edge", *packages)
            row |= {"name": name if name in MODEL_OF else model["model"], "sha256": model["sha256"]}
        row["package"] = ", ".join(packages)
    body = {"data": described, "frames": peer_options.frames, "before": before, "after": condition(), "rows": rows}
    path = write("peers", body, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _line(row: dict[str, Any]) -> str:
    network = f"classifier {row['classifier']['p50']:7.3f} ms" if "classifier" in row else ""
    return (
        f"{row['name']:28} {100 * row['accuracy']:6.2f} %  frame mean {row['frame']['mean']:8.2f} ms  "
        f"{network:21}  first {row['first_ms']:7.0f} ms  {row['peak_mib']:.0f} MiB"
    )


def _open_environments(folder: Path) -> dict[str, Path]:
    """The Python of each package's environment."""
    pythons = {name: open_environment(folder / name, packages) for name, packages in PACKAGES.items()}
    if "haar" in pythons:
        share_packages(pythons["haar"])
    return pythons


def _run(pythons: dict[str, Path], part: Split, options: PeerOptions) -> list[dict[str, Any]]:
    """A row per package, all of them open at once."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closing:
        clip, faces_file = Path(folder) / "clip.avi", Path(folder) / "faces.npy"
        write_clip(clip, CLIP_FRAMES, 1, *CLIP_SIZE, options.picture)
        np.save(faces_file, part.faces)
        processes = {
            name: closing.enter_context(open_peer(name, python, clip, options.core)) for name, python in pythons.items()
        }
        times = _times(processes, options.frames)
        rows = [_row(process, times[name], faces_file, part) for name, process in processes.items()]
    return [{**row, **_ratio_to_run(row, rows)} for row in rows]


def _times(processes: dict[str, PeerProcess], frames: int) -> dict[str, dict[str, list[list[float]]]]:
    """Milliseconds of each frame and of each network call, by package, kind of call and round."""
    times: dict[str, dict[str, list[list[float]]]] = {name: {"frame": [], "classify": []} for name in processes}
    for process in processes.values():
        for kind in ("frame", "classify"):
            process.request(do=kind, count=5)
    for index in track(range(ROUNDS), "rounds", ROUNDS):
        for name, process in processes.items():
            times[name]["frame"].append(process.request(do="frame", count=calls_in_round(frames, index))["ms"])
            times[name]["classify"].append(process.request(do="classify", count=20)["ms"])
    return times


def _row(process: PeerProcess, times: dict[str, list[list[float]]], faces: Path, part: Split) -> dict[str, Any]:
    memory = process.request(do="classify", count=1)["peak_mib"]
    correct = process.scores(faces, part.classes).argmax(axis=1) == part.labels
    frame, network = np.concatenate(times["frame"]), np.concatenate(times["classify"])
    return {
        "name": process.name,
        "first_ms": round(process.started["first_ms"], 1),
        "faces_found": process.started["faces"],
        "frame": summary(frame),
        "rounds": [round(float(np.mean(ms)), 4) for ms in times["frame"]],
        **({"classifier": summary(network)} if len(network) else {}),
        "peak_mib": round(memory, 1),
        "python": process.started["python"],
        "packages": process.started["packages"],
        "accuracy": round(float(np.mean(correct)), 5),
        "correct": "".join(str(int(each)) for each in correct),
    }


def _ratio_to_run(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean time of a frame over that of `run`, with the 95 % interval."""
    (run,) = (each for each in rows if each["name"] == "run")
    low, high = ratio_interval(row["rounds"], run["rounds"], paired=True, average=np.mean)
    ratio = row["frame"]["mean"] / run["frame"]["mean"]
    return {"ratio": round(ratio, 3), "ratio_interval": [round(low, 3), round(high, 3)]}
