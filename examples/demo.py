"""`make demo`: the ensemble on the first camera, or on a short clip of a moving face where there is no camera."""

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


def main() -> int:
    """Run `fer-edge run` as a user would, and say where its output lies; returns its exit code."""
    OUTPUT.mkdir(exist_ok=True)
    video, picture = OUTPUT / "annotated.mp4", OUTPUT / "annotated.png"
    camera = first_camera()
    if camera is None:
        clip = make_clip.write(OUTPUT / "clip.mp4")
        print(f"no camera gives pictures: {clip} stands in, made from {make_clip.PORTRAIT.name}")
        where = ["--source", str(clip)]
    else:
        where = ["--camera", camera, "--duration", str(SECONDS)]
    arguments = ["run", *where, "--show", "text", "--save-video", str(video), "--save-picture", str(picture)]
    print(f"{shlex.join(['fer-edge', *arguments])}", flush=True)
    code = subprocess.run([sys.executable, "-m", "fer_edge.edge.cli", *arguments]).returncode
    if code == 0:
        written = [str(path) for path in (video, picture) if path.exists()]
        print(f"wrote {' and '.join(written)}")
        print(f"with a screen, for as long as you like: {Path(sys.executable).parent / 'fer-edge'} run")
    return code


if __name__ == "__main__":
    sys.exit(main())
