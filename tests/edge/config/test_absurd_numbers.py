"""Numbers that no machine can mean, in every numeric option of every command; and the largest that are allowed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from commands import every_command
from network_camera import PORTRAIT
from running import run

from fer_edge.edge.cli import main
from fer_edge.edge.config.click_types import LARGEST, FloatRange, IntRange, is_unlimited
from fer_edge.edge.config.option_values import options
from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline

pytestmark = pytest.mark.faults

ABSURD = ("-" + "9" * 5000, "1" + "0" * 30, "-1e400", "nan", "-inf", "1e9x", "0x7fffffff0", "½")

LARGE = {"threads": "64", "width": "32767", "height": "32767", "fps": "1000", "min-face": "32767"}
"""Largest values of options of `run` with a limit of their own."""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.tensorflow
def test_no_option_takes_an_absurd_number() -> None:
    tried = 0
    for words, command in every_command(main):
        context = click.Context(command)
        for option in options(command).values():
            if not isinstance(option.type, click.types.IntParamType | click.types.FloatParamType) or option.count:
                continue
            assert isinstance(option.type, IntRange | FloatRange), (words, option.name)
            is_infinite = getattr(option.type, "infinite", False)
            for value in [*ABSURD, *(() if is_infinite else ("inf", "1e400"))]:
                with pytest.raises(click.BadParameter):
                    option.type_cast_value(context, (value,) if option.multiple else value)
                tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "words",
    [
        ("--threads", "99999"),
        ("--threads", "9" * 5000),
        ("--width", "1000000000"),
        ("--fps", "1e9"),
        ("--min-face", "1e400"),
        ("--rotate-keep", "2000000000"),
        ("--web", "99999"),
        ("--web", "-1"),
        ("--web", "9" * 5000),
        ("--web", "127.0.0.1:99999"),
        ("--mqtt", "mqtt://127.0.0.1:99999/x"),
        ("--mqtt", f"mqtt://127.0.0.1:{'9' * 5000}/x"),
        ("--camera", "9" * 5000),
        ("--camera", "2147483648"),
        ("--camera", "-1"),
        ("--camera", f"picamera2:{'9' * 5000}"),
    ],
    ids=lambda words: f"{words[0][2:]}-{words[1][:12]}",
)
def test_an_absurd_number_is_one_short_line(words: tuple[str, str]) -> None:
    source = () if words[0] == "--camera" else ("--source", str(PORTRAIT))
    done = CliRunner().invoke(main, ["run", *source, "--show", "none", *words])
    lines = [line for line in done.stderr.splitlines() if line.startswith("fer-edge: ")]
    assert (done.exit_code, len(lines)) == (2, 1), done.output
    assert len(lines[0]) < 1200 and "Traceback" not in done.output


@pytest.mark.parametrize("end", ["largest", "smallest"])
def test_the_largest_and_the_smallest_numbers_run(clip: Path, end: str) -> None:
    """All of them in a real run, but for what the clip or the models cannot do."""
    command = main.get_command(click.Context(main), "run")
    assert command is not None
    words: list[str | Path] = ["--jsonl", "x.jsonl", "--save-video", "v.avi"]  # some options are of no use without them
    for key, option in options(command).items():
        kind = option.type
        if isinstance(kind, IntRange | FloatRange) and key not in ("max-pixels", "latency-budget", "max-frames"):
            largest = f"{LARGEST}" if is_unlimited(kind.max) else f"{kind.max:.10g}"
            assert LARGE.get(key, largest) == largest
            smallest = "1e-300" if kind.min_open else f"{kind.min:.10g}"
            words += [f"--{key}", largest if end == "largest" else smallest]
    done = run("--source", clip, "--show", "none", "--max-frames", 3, *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads", [0, -1, 65, 99_999, 10**30])
def test_the_library_has_the_same_limit_of_threads(threads: int) -> None:
    with pytest.raises(FerEdgeError, match="threads"):
        open_pipeline(PipelineOptions(threads=threads))
