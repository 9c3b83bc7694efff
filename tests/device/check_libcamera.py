"""Our source of libcamera's cameras with the real picamera2 and libcamera; tests/device/debian.sh runs it.

The camera is the kernel's `vimc`: a sensor that shows bars of colour, and a scaler behind it. It is no Raspberry Pi: it
gives bytes of R, G, B alone, has no second stream, and no rate or flip can be asked of it. What differs is told.
"""

from __future__ import annotations

import json
import subprocess
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from checking import LIGHT, check, end, fer_edge, one_line, waited

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.picamera import BUFFERS, PiCamera, import_picamera2

BARS = ((1, 1, 1), (0, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 0, 0), (0, 0, 0))
"""White, yellow, cyan, green, magenta, red, blue, black: which of B, G, R are bright in the bars, left to right."""


def prepare() -> None:
    subprocess.run(["modprobe", "vimc"], check=True)
    heaps = Path("/dev/dma_heap")
    (heaps / "linux,cma").symlink_to(heaps / "system")  # the heap that picamera2 asks for, on a Raspberry Pi
    check("vimc is there", waited(lambda: Path("/dev/media0").exists()))


def listing() -> None:
    done = fer_edge("cameras")
    check("it is listed with what to type", "--camera picamera2:0  Sensor B (platform/vimc.0 Sensor B)" in done.stdout)
    check("its V4L2 nodes are no cameras", done.stdout.count("(pipeline, vimc)") == 3)
    (camera,) = json.loads(fer_edge("cameras", "--json").stdout)["cameras"]
    check("to programs, too", camera["kind"] == "libcamera" and camera["problem"] is None)
    print(f"not as on a Raspberry Pi: its sensor's modes: {camera['formats'] or 'none'}")


def running() -> None:
    """More pictures than there are buffers: each was given back."""
    count = 3 * BUFFERS
    words = ("--camera", "picamera2", "--max-frames", count, "--jsonl", "-", *LIGHT)
    done = fer_edge("run", *words, "--width", 320, "--height", 240, "--mirror", "--fps", 5)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    check(f"{count} frames of {BUFFERS} buffers", done.returncode == 0 and len(lines) == count)
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(lines))
    check("their numbers and times rise", rising)
    check("its size is told", "source: camera 0 (picamera2, Sensor B, 320x240, 5 fps requested" in done.stderr)
    done = fer_edge("run", "--camera", "picamera2:1", "--show", "none")
    check("one that is not there costs one line and exit code 2", one_line(done, "there is no camera 1"))


def looks(pixels: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Which of B, G, R are bright in the middle of each of eight bars; the edges between them are blurred."""
    row = pixels[pixels.shape[0] // 2]
    middles = row[len(row) // 16 :: len(row) // 8][:8]
    return tuple(tuple(int(value > 90) for value in colour) for colour in middles)


def colours() -> None:
    for flips in ((False, False), (True, False), (True, True)):
        with PiCamera(0, CaptureRequest(640, 480), flips) as camera:
            given = camera._camera.camera_configuration()
            pixels = next(iter(camera)).pixels
            expected = BARS[:: -1 if flips[0] else 1]
            print(f"bars: {looks(pixels)}")
            check(f"the bars have their colours, flipped {flips}", looks(pixels) == expected)
    main, transform = given["main"]["format"], given["transform"]
    print(f"not as on a Raspberry Pi: RGB888 does not start, XRGB8888 is granted as {main}; flips: {transform}")


def sizes() -> None:
    for asked, expected in (((641, 481), (640, 480)), ((642, 480), (642, 480)), ((1280, 960), (1280, 960))):
        with PiCamera(0, CaptureRequest(*asked)) as camera:
            frame = next(iter(camera))
            given = frame.pixels.shape[1::-1]
            told = f"{expected[0]}x{expected[1]}" in camera.name
            check(f"{asked} asked, {given} given and told", given == camera.size == expected and told)
    small = "none, and it does without" if frame.small is None else frame.small.shape
    print(f"not as on a Raspberry Pi: the second, small stream of 1280x960: {small}")


def busy() -> None:
    with PiCamera(0) as camera:
        next(iter(camera))
        try:
            PiCamera(0)
            told = ""
        except SourceError as error:
            told = str(error)
    print(told)
    check("one that is in use says so", "Failed to acquire camera: Device or resource busy" in told)
    with PiCamera(0) as camera:
        check("closed, it opens again", len(list(islice(camera, 2))) == 2)


if __name__ == "__main__":
    prepare()
    print(f"picamera2 from {import_picamera2().__file__}")
    listing()
    running()
    colours()
    sizes()
    busy()
    end()
