"""What only a V4L2 camera can show; tests/device/vm.sh runs it where there is one, as root: `make test-device`.

Lists it, films with it, unplugs it in the middle of a run and plugs it in again. Prints what was seen and a line per
check, and exits with 1 where one fails. With a file name it also records the driver's answers there, for
tests/edge/sources/test_cameras.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from checking import COMMAND, LIGHT, PATIENCE, check, end, fer_edge, reports, wait_for, waited

from fer_edge.edge.sources import open_source, v4l2
from fer_edge.edge.sources.devices import list_devices

DRIVER = Path("/sys/bus/platform/drivers/vivid")


def unplug() -> None:
    (DRIVER / "unbind").write_text("vivid.0")


def plug_in() -> None:
    if not (DRIVER / "vivid.0").exists():
        (DRIVER / "bind").write_text("vivid.0")


def listing() -> None:
    text = fer_edge("cameras")
    check("vivid is listed with what to type", "--camera 0  vivid" in text.stdout)
    told = json.loads(fer_edge("cameras", "--json").stdout)
    (camera,) = told["cameras"]
    sizes = {(size["width"], size["height"]) for each in camera["formats"] for size in each["sizes"]}
    check("its formats have 640x480", (640, 480) in sizes)
    check("its sizes have rates", all(size["rates"] for each in camera["formats"] for size in each["sizes"]))
    check("its metadata node is no camera", "metadata" in {other["kind"] for other in told["others"]})


def filming() -> None:
    done = fer_edge("run", "--camera", 0, "--max-frames", 3, "--width", 320, "--height", 240, *LIGHT)
    check("a size it lacks is told with the one it gave", "320x180 instead of 320x240" in done.stderr)
    check("and filmed with", done.returncode == 0 and "\n3 frames, " in done.stderr)
    link = Path("/dev/v4l/by-path/platform-vivid.0-video-index0")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("../../video0")
    done = fer_edge("run", "--camera", link, "--fps", 5, "--max-frames", 2, "--rotate", 90, *LIGHT)
    check("a link by path does as well, and a rate is told", done.returncode == 0 and " fps" in done.stderr)
    link.unlink()
    done = fer_edge("run", "--camera", 7, "--show", "none")
    check("a camera that is not there costs one line and exit code 2", done.returncode == 2)


def unplugging() -> None:
    """The source alone, with no network to wait for."""
    told = reports()
    with open_source(camera="0") as source:
        print(f"source: {source.name}", flush=True)
        check("it is told to be in use, and by whom", str(os.getpid()) in str(list_devices()[0].problem))
        frames = iter(source)
        seen = [next(frames) for _ in range(3)]
        unplug()
        check("unplugged: away", waited(lambda: source.disconnected))
        plug_in()
        seen += [next(frames) for _ in range(3)]
        check("plugged in: pictures again", not source.disconnected)
        rising = all(b.index > a.index and b.time > a.time for a, b in pairwise(seen))
        check("frames' numbers and times rise throughout", rising)
        unplug()
        check("unplugged again: away again", waited(lambda: source.disconnected))
        source.stop()
        check("it ends while it is away", next(frames, None) is None)
    plug_in()
    print("\n".join(told), flush=True)
    check("all of it was told", [line.split()[1] for line in told] == ["lost:", "back", "lost:"])


def unplugging_while_filming(folder: Path) -> None:
    lines, log = folder / "o.jsonl", folder / "log"

    def count() -> int:
        return lines.read_text().count("\n") if lines.exists() else 0

    with log.open("w") as errors:
        process = subprocess.Popen([*COMMAND, "run", "--camera", "0", "--jsonl", str(lines), *LIGHT], stderr=errors)
    try:
        check("it films", wait_for(process, lambda: count() >= 5))
        unplug()
        check("unplugged: told as lost", wait_for(process, lambda: "source: lost" in log.read_text()))
        before = count()
        plug_in()
        check("plugged in: told as back", wait_for(process, lambda: "source: back after" in log.read_text()))
        check("and films again", wait_for(process, lambda: count() >= before + 5))
        unplug()
        check("lost again", wait_for(process, lambda: log.read_text().count("source: lost") == 2))
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        check("Ctrl-C ends while it waits", process.wait(PATIENCE) == 0)
        print(f"{time.monotonic() - asked:.1f} s from Ctrl-C to the end\n{log.read_text()}", flush=True)
    finally:
        process.kill()
        plug_in()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines.read_text().splitlines()]
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(records))
    check("frames' numbers and times rise throughout", rising)
    check("every frame was counted", f"{len(records)} frames, " in log.read_text())


def record(path: Path) -> None:
    """The answers to what is asked up to the first format: request, question, errno, answer; bytes as hex."""
    answers: list[list[Any]] = []
    with v4l2.open_device("/dev/video0") as ioctl:

        def recorded(request: int, structure: bytearray) -> int:
            question = structure.hex()
            error = ioctl(request, structure)
            answers.append([request, question, error, structure.hex()])
            return error

        capability = v4l2.query_capability(recorded)
        assert capability is not None
        next(v4l2.list_formats(recorded, capability.flags))
        v4l2.is_busy(recorded, capability.flags)
    path.write_text(json.dumps(answers, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        record(Path(sys.argv[1]))
    unplugging()
    with tempfile.TemporaryDirectory() as folder:
        unplugging_while_filming(Path(folder))
    listing()
    filming()
    end()
