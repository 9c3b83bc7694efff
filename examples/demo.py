"""`make demo` and `make page`: run the ensemble on the first camera, or on a clip of a moving face if there is none.

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
SECONDS = 10  # to run with a camera


def first_camera() -> str | None:
    """The number of the first camera that delivers frames; None if there is none.

    Camera 0 is libcamera's if V4L2 has none; numbers from 10 on are a Raspberry Pi's codecs, not cameras.
    """
    nodes = (int(path.name[5:]) for path in Path("/dev").glob("video*") if re.fullmatch(r"video\d", path.name))
    for number in sorted({0, *nodes}):
        try:
            with open_source(camera=str(number)):
                return str(number)
        except SourceError as error:
            print(error, file=sys.stderr)
    return None


def source_options() -> list[str]:
    """The options of `fer-edge run` for the first camera, or for a new clip."""
    camera = first_camera()
    if camera is not None:
        return ["--camera", camera]
    clip = make_clip.write(OUTPUT / "clip.mp4")
    print(f"no camera delivers frames; using {clip}, made from {make_clip.PORTRAIT.name}")
    return ["--source", str(clip)]


def run(*options: str) -> int:
    """Print and run the command that a user would type; returns its exit code."""
    arguments = ["run", *options]
    print(shlex.join(["fer-edge", *arguments]), flush=True)
    command = [sys.executable, "-m", "fer_edge.edge.cli", *arguments]
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the terminal also sends Ctrl-C to the run, which shuts down gracefully
                continue


def main(arguments: list[str]) -> int:
    """Run the demo, or the live page if its options are given; returns the exit code."""
    OUTPUT.mkdir(exist_ok=True)
    options = source_options()
    is_camera = options[0] == "--camera"
    if arguments:
        return run(*options, *([] if is_camera else ["--loop"]), "--show", "none", *arguments)
    video, picture = OUTPUT / "annotated.mp4", OUTPUT / "annotated.png"
    limit = ["--duration", str(SECONDS)] if is_camera else []
    code = run(*options, *limit, "--show", "text", "--save-video", str(video), "--save-picture", str(picture))
    if code == 0:
        written = [str(path) for path in (video, picture) if path.exists()]
        print(f"wrote {' and '.join(written)}")
        print(f"to run in a window until you quit: {Path(sys.executable).parent / 'fer-edge'} run")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
