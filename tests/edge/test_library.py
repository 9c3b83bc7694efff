"""The public library: its page's programs run as they are written there, are typed, and are cheap to import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from network_camera import PORTRAIT

import fer_edge
from examples import make_clip
from fer_edge.models import FOLDER

ROOT = FOLDER.parent
Run = Callable[[str], list[str]]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


PICTURE, CAMERA, OPTIONS, EVENTS = blocks("docs/library.md")
(README,) = blocks("README.md")


@pytest.fixture
def output_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a program in an empty folder and returns the lines that it prints."""
    monkeypatch.chdir(tmp_path)

    def run(program: str) -> list[str]:
        exec(compile(program, "<a page>", "exec"), {"__name__": "__main__"})
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    return run


def test_a_picture(output_of: Run) -> None:
    Path("photo.jpg").write_bytes(PORTRAIT.read_bytes())
    (line,) = output_of(PICTURE)
    assert re.fullmatch(r"happy \d\d% at \d+,\d+, \d+ pixels wide", line)
    (line,) = output_of(README)
    assert line.startswith("Box(x=") and " happy 0." in line


def test_a_picture_that_is_missing_is_one_line(output_of: Run) -> None:
    with pytest.raises(SystemExit, match=r"^photo\.jpg cannot be read: No such file or directory$"):
        output_of(PICTURE)


def test_a_camera(output_of: Run, camera: str) -> None:
    assert "open_source(camera=0)" in CAMERA
    output_of(CAMERA.replace("camera=0", f"source='{camera}'"))
    assert fer_edge.read_picture("smile.jpg").shape == (240, 320, 3)


def test_options(output_of: Run) -> None:
    make_clip.write(Path("party.mp4"), seconds=1)
    lines = output_of(OPTIONS.replace('camera="picamera2", width=1280, height=720', 'source="party.mp4"'))
    assert len(lines) == make_clip.RATE
    assert all(line.startswith("1 {'detect': ") for line in lines)


def test_events(output_of: Run) -> None:
    make_clip.write(Path("party.mp4"), seconds=2)
    first, *others = output_of(EVENTS)
    assert re.fullmatch(r"0\.[45] s: face_came  \(face 1\)", first)
    assert any("emotion happy (face 1)" in line for line in others)


def test_camera_and_source_may_be_a_number_and_a_path(tmp_path: Path) -> None:
    with pytest.raises(fer_edge.SourceError, match="/dev/video99 does not exist"):
        fer_edge.open_source(camera=99)
    with pytest.raises(fer_edge.SourceError, match="no such file"):
        fer_edge.open_source(source=tmp_path / "none.mp4")
    with fer_edge.open_source(source=PORTRAIT) as source:
        assert [frame.pixels.shape for frame in source] == [(512, 512, 3)]


def test_importing_it_loads_nothing() -> None:
    program = "import sys, fer_edge; print(*{name.split('.')[0] for name in sys.modules}); fer_edge.nonsense"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert not {"numpy", "cv2", "click", "ai_edge_litert", "tflite_runtime"} & set(done.stdout.split())
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'fer_edge' has no attribute 'nonsense'"


@pytest.mark.slow
def test_users_see_the_types(wheel: Path, tmp_path: Path) -> None:
    """mypy over an installed fer_edge: the page's programs have right types, every name is known, a typo is found."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    names = "\n".join(f"fer_edge.{name}" for name in fer_edge.__all__)
    programs = [PICTURE, CAMERA, OPTIONS, EVENTS, README, f"import fer_edge\n{names}\nfer_edge.open_pipeline().proces"]
    for number, program in enumerate(programs):
        (tmp_path / f"program{number}.py").write_text(program)
    files = [f"program{number}.py" for number in range(len(programs))]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".cache" / "mypy-programs"), *files],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "MYPYPATH": ""},
        check=False,
    )
    last = f"program5.py:{len(fer_edge.__all__) + 2}"
    assert [line for line in done.stdout.splitlines() if "error" in line] == [
        f'{last}: error: "Pipeline" has no attribute "proces"; maybe "process"?  [attr-defined]',
        "Found 1 error in 1 file (checked 6 source files)",
    ], done.stdout + done.stderr
