"""Checks of a Motion JPEG camera: v4l2loopback, to which a thread writes JPEGs, every seventh of them cut off."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from device_checks import LIGHT, check, fer_edge
from numpy.typing import NDArray

from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.jpeg_picture import JpegPicture
from fer_edge.edge.sources.options import SourceOptions

PORTRAIT = Path(__file__).parents[2] / "benchmarks" / "astronaut.jpg"
DEVICE, SIZE = "/dev/video9", (1280, 720)
S_FMT, OUTPUT, NO_FIELD, SRGB = 0xC0D05605, 2, 1, 8  # as in linux/videodev2.h
CUT_EVERY = 7


@contextmanager
def camera(picture: NDArray[np.uint8]) -> Iterator[None]:
    """The camera, whose pictures have 16 shades in one corner in turns."""
    words = ["devices=1", "video_nr=9", "card_label=Motion JPEG", "exclusive_caps=1"]
    subprocess.run(["busybox", "insmod", os.environ["LOOPBACK"], *words], check=True)
    jpegs = []
    for shade in range(0, 256, 16):
        picture[:48, :48] = shade
        jpegs.append(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 60 + shade // 8))[1].tobytes())
    stopped = threading.Event()
    device = os.open(DEVICE, os.O_RDWR)
    structure = bytearray(208)
    code = int.from_bytes(b"MJPG", "little")
    struct.pack_into("=I4x7I", structure, 0, OUTPUT, *SIZE, code, NO_FIELD, 0, 2 * SIZE[0] * SIZE[1], SRGB)
    fcntl.ioctl(device, S_FMT, structure, True)

    def write() -> None:
        for number in count():
            data = jpegs[number % len(jpegs)]
            os.write(device, data[: len(data) // 2] if number % CUT_EVERY == 3 else data)
            if stopped.wait(0.1):
                return

    os.write(device, jpegs[0])  # before the first picture it is no camera
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stopped.set()
        writer.join()
        os.close(device)


def check_motion_jpeg() -> None:
    picture = np.asarray(cv2.resize(cv2.imread(str(PORTRAIT)), SIZE), np.uint8)
    with camera(picture.copy()):
        with open_source(SourceOptions(camera=DEVICE, width=SIZE[0], height=SIZE[1], fps=30)) as source:
            print(f"source: {source.name}", flush=True)
            check("Motion JPEG is requested where nothing else has the size", "MJPG, 1280x720" in source.name)
            shades, whole, started = set(), [], time.monotonic()
            for frame in source:
                whole.append(isinstance(frame.picture, JpegPicture) and frame.size == SIZE)
                small = frame.at_width(320, colour=False)
                shades.add(round(int(small[3, 3]) / 16))
                if len(shades) == 16 or time.monotonic() - started > 60:
                    break
            check("every whole JPEG comes as it is, small enough", all(whole) and small.shape[1] >= 320)
            check("its pixels are the camera's", len(shades) == 16)
            difference = np.abs(frame.pixels[48:].astype(int) - picture[48:]).mean()
            check(f"in full they differ by {difference:.1f} gray levels", difference < 4)
            check(f"{source.dropped} of them were cut off or not taken", source.dropped > 0)
        size = ("--width", SIZE[0], "--height", SIZE[1], "--rotate", 90)
        process = fer_edge("run", "--camera", DEVICE, "--max-frames", 5, *size, *LIGHT)
        check(
            "run works with it, and logs the damaged ones", process.returncode == 0 and "damaged JPEG" in process.stderr
        )
