"""Checks with a real V4L2 driver; tests/device/vm.sh runs them as root in a virtual machine: `make test-device`.

The camera is listed, captured from, unplugged during a run and plugged in again; another one gives Motion JPEG. Prints
the outputs and a line per check, and exits with 1 where one fails. With a file name it also records the driver's
answers there, for tests/edge/sources/test_cameras.py.
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

from check_motion_jpeg import check_motion_jpeg
from device_checks import COMMAND, LIGHT, TIMEOUT, check, end, fer_edge, source_messages, wait_until, wait_while_running

from fer_edge.edge.sources import open_source, v4l2
from fer_edge.edge.sources.devices import list_devices

DRIVER = Path("/sys/bus/platform/drivers/vivid")


def unplug() -> None:
    (DRIVER / "unbind").write_text("vivid.0")


def plug_in() -> None:
    if not (DRIVER / "vivid.0").exists():
        (DRIVER / "bind").write_text("vivid.0")


def check_listing() -> None:
    process = fer_edge("cameras")
    check("vivid is listed with its option", "--camera 0  vivid" in process.stdout)
    listing = json.loads(fer_edge("cameras", "--json").stdout)
    (camera,) = listing["cameras"]
    sizes = {(size["width"], size["height"]) for each in camera["formats"] for size in each["sizes"]}
    check("its formats have 640x480", (640, 480) in sizes)
    check("its sizes have rates", all(size["rates"] for each in camera["formats"] for size in each["sizes"]))
    check("its metadata node is no camera", "metadata" in {other["kind"] for other in listing["others"]})


def check_capture() -> None:
    process = fer_edge("run", "--camera", 0, "--max-frames", 3, "--width", 320, "--height", 240, *LIGHT)
    check("an unsupported size is logged with the negotiated one", "320x180 instead of 320x240" in process.stderr)
    check("and captured with", process.returncode == 0 and "\n3 frames, " in process.stderr)
    link = Path("/dev/v4l/by-path/platform-vivid.0-video-index0")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("../../video0")
    process = fer_edge("run", "--camera", link, "--fps", 5, "--max-frames", 2, "--rotate", 90, *LIGHT)
    check("a link by path works as well, and the rate is logged", process.returncode == 0 and " fps" in process.stderr)
    link.unlink()
    process = fer_edge("run", "--camera", 7, "--show", "none")
    check("a missing camera is an error with exit code 2", process.returncode == 2)


def check_unplugging() -> None:
    """The source alone, without models."""
    messages = source_messages()
    with open_source(camera="0") as source:
        print(f"source: {source.name}", flush=True)
        check("it is listed as in use by this process", str(os.getpid()) in str(list_devices()[0].problem))
        frames = iter(source)
        received = [next(frames) for _ in range(3)]
        unplug()
        check("unplugged: disconnected", wait_until(lambda: source.disconnected > 0))
        plug_in()
        received += [next(frames) for _ in range(3)]
        check("plugged in: frames again", not source.disconnected)
        rising = all(b.index > a.index and b.time > a.time for a, b in pairwise(received))
        check("frame indices and times rise throughout", rising)
        unplug()
        check("unplugged again: disconnected again", wait_until(lambda: source.disconnected > 0))
        source.stop()
        check("it ends while it is disconnected", next(frames, None) is None)
    plug_in()
    print("\n".join(messages), flush=True)
    check("all of it was logged", [line.split()[1] for line in messages] == ["lost:", "back", "lost:"])


def check_unplugging_during_run(folder: Path) -> None:
    lines, log = folder / "o.jsonl", folder / "log"

    def count() -> int:
        return lines.read_text().count("\n") if lines.exists() else 0

    with log.open("w") as errors:
        process = subprocess.Popen([*COMMAND, "run", "--camera", "0", "--jsonl", str(lines), *LIGHT], stderr=errors)
    try:
        check("it captures", wait_while_running(process, lambda: count() >= 5))
        unplug()
        check("unplugged: logged as lost", wait_while_running(process, lambda: "source: lost" in log.read_text()))
        before = count()
        plug_in()
        check(
            "plugged in: logged as back", wait_while_running(process, lambda: "source: back after" in log.read_text())
        )
        check("and captures again", wait_while_running(process, lambda: count() >= before + 5))
        unplug()
        check("lost again", wait_while_running(process, lambda: log.read_text().count("source: lost") == 2))
        process.send_signal(signal.SIGINT)
        interrupted_at = time.monotonic()
        check("Ctrl-C ends it while it reconnects", process.wait(TIMEOUT) == 0)
        print(f"{time.monotonic() - interrupted_at:.1f} s from Ctrl-C to the end\n{log.read_text()}", flush=True)
    finally:
        process.kill()
        plug_in()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines.read_text().splitlines()]
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(records))
    check("frame indices and times rise throughout", rising)
    check("every frame was counted", f"{len(records)} frames, " in log.read_text())


def record(path: Path) -> None:
    """Record the answers up to the first format: request, question, errno, answer; bytes as hex."""
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
    check_unplugging()
    with tempfile.TemporaryDirectory() as folder:
        check_unplugging_during_run(Path(folder))
    check_listing()
    check_capture()
    check_motion_jpeg()
    end()
