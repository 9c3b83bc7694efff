"""`make demo` and `make page`: the ensemble on the first camera, or on a clip of a moving face where there is none.

python examples/demo.py              ten seconds as text, with an annotated video and picture
python examples/demo.py --web 8080   the live page, until Ctrl-C
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import make_clip

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source

OUTPUT = Path("demo-output")
SECONDS = 10  # of a live camera


def first_camera() -> str | None:
    """The number of the first camera that gives a picture, None where none does.

    Camera 0 is libcamera's where V4L2 has none; numbers from 10 on are a Raspberry Pi's codecs, not cameras.
    """
    nodes = (int(path.name[5:]) for path in Path("/dev").glob("video*") if re.fullmatch(r"video\d", path.name))
    for number in sorted({0, *nodes}):
        try:
            with open_source(camera=str(number)):
                return str(number)
        except SourceError as error:
            print(error, file=sys.stderr)
    return None


def source() -> list[str]:
    """The options that name the first camera, or a clip made now."""
    camera = first_camera()
    if camera is not None:
        return ["--camera", camera]
    clip = make_clip.write(OUTPUT / "clip.mp4")
    print(f"no camera gives pictures: {clip} stands in, made from {make_clip.PORTRAIT.name}")
    return ["--source", str(clip)]


def run(*options: str) -> int:
    """Say and do what a user would type; returns its exit code."""
    arguments = ["run", *options]
    print(shlex.join(["fer-edge", *arguments]), flush=True)
    command = [sys.executable, "-m", "fer_edge.edge.cli", *arguments]
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # a terminal sends Ctrl-C to both: it is for the run, which then ends in order
                continue


def main(arguments: list[str]) -> int:
    """The demo, or the page where its address is given; returns the exit code."""
    OUTPUT.mkdir(exist_ok=True)
    where = source()
    if arguments:
        return run(*where, *([] if where[0] == "--camera" else ["--loop"]), "--show", "none", *arguments)
    video, picture = OUTPUT / "annotated.mp4", OUTPUT / "annotated.png"
    limit = ["--duration", str(SECONDS)] if where[0] == "--camera" else []
    code = run(*where, *limit, "--show", "text", "--save-video", str(video), "--save-picture", str(picture))
    if code == 0:
        written = [str(path) for path in (video, picture) if path.exists()]
        print(f"wrote {' and '.join(written)}")
        print(f"with a screen, for as long as you like: {Path(sys.executable).parent / 'fer-edge'} run")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
