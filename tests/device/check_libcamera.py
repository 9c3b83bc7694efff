"""Checks of libcamera cameras with the real picamera2 and libcamera; tests/device/debian.sh runs them.

The camera is the kernel's `vimc`: a sensor that shows colour bars, and a scaler behind it. Unlike a Raspberry Pi's it
has only the format R, G, B in bytes, no second stream, and no control of rate or flips. The differences are printed.
"""

from __future__ import annotations

import json
import subprocess
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from device_checks import LIGHT, check, end, fer_edge, is_one_line_error, wait_until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.picamera import BUFFERS, PiCamera, import_picamera2

BARS = ((1, 1, 1), (0, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 0, 0), (0, 0, 0))
"""White, yellow, cyan, green, magenta, red, blue, black: which of B, G, R are bright in the bars, left to right."""


def prepare() -> None:
    subprocess.run(["modprobe", "vimc"], check=True)
    heaps = Path("/dev/dma_heap")
    (heaps / "linux,cma").symlink_to(heaps / "system")  # the heap that picamera2 uses on a Raspberry Pi
    check("vimc is there", wait_until(lambda: Path("/dev/media0").exists()))


def check_listing() -> None:
    process = fer_edge("cameras")
    check("it is listed with its option", "--camera picamera2:0  Sensor B (platform/vimc.0 Sensor B)" in process.stdout)
    check("its V4L2 nodes are no cameras", process.stdout.count("(pipeline, vimc)") == 3)
    (camera,) = json.loads(fer_edge("cameras", "--json").stdout)["cameras"]
    check("in JSON, too", camera["kind"] == "libcamera" and camera["problem"] is None)
    print(f"not as on a Raspberry Pi: its sensor's modes: {camera['formats'] or 'none'}")


def check_run() -> None:
    """More frames than there are buffers: each buffer is released."""
    count = 3 * BUFFERS
    arguments = ("--camera", "picamera2", "--max-frames", count, "--jsonl", "-", *LIGHT)
    process = fer_edge("run", *arguments, "--width", 320, "--height", 240, "--mirror", "--fps", 5)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    check(f"{count} frames of {BUFFERS} buffers", process.returncode == 0 and len(lines) == count)
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(lines))
    check("their indices and times rise", rising)
    check("its size is logged", "source: camera 0 (picamera2, Sensor B, 320x240, 5 fps requested" in process.stderr)
    process = fer_edge("run", "--camera", "picamera2:1", "--show", "none")
    check("a missing camera is a one-line error", is_one_line_error(process, "there is no camera 1"))


def bright_channels(pixels: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Which of B, G, R are bright in the middle of each of the eight bars; the edges between them are blurred."""
    row = pixels[pixels.shape[0] // 2]
    middles = row[len(row) // 16 :: len(row) // 8][:8]
    return tuple(tuple(int(value > 90) for value in colour) for colour in middles)


def check_colours() -> None:
    for flips in ((False, False), (True, False), (True, True)):
        with PiCamera(0, CaptureRequest(640, 480), flips) as camera:
            pixels = next(iter(camera)).pixels
            expected = BARS[:: -1 if flips[0] else 1]
            print(f"bars: {bright_channels(pixels)}")
            check(f"the bars have their colours, flipped {flips}", bright_channels(pixels) == expected)


def check_sizes() -> None:
    for requested, expected in (((641, 481), (640, 480)), ((642, 480), (642, 480)), ((1280, 960), (1280, 960))):
        with PiCamera(0, CaptureRequest(*requested)) as camera:
            frame = next(iter(camera))
            size = frame.pixels.shape[1::-1]
            in_name = f"{expected[0]}x{expected[1]}" in camera.name
            check(f"{requested} requested, {size} negotiated", size == camera.size == expected and in_name)
    print(f"not as on a Raspberry Pi: the second, small stream of 1280x960: {frame.at_width(1).shape}")


def check_busy() -> None:
    with PiCamera(0) as camera:
        next(iter(camera))
        try:
            PiCamera(0)
            message = ""
        except SourceError as error:
            message = str(error)
    print(message)
    check("the error says that it is in use", "Failed to acquire camera: Device or resource busy" in message)
    with PiCamera(0) as camera:
        check("closed, it opens again", len(list(islice(camera, 2))) == 2)


if __name__ == "__main__":
    prepare()
    print(f"picamera2 from {import_picamera2().__file__}")
    check_listing()
    check_run()
    check_colours()
    check_sizes()
    check_busy()
    end()
