"""Checks of GStreamer pipelines with Debian's OpenCV, which has GStreamer; tests/device/debian.sh runs them."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from device_checks import LIGHT, check, end, fer_edge, is_one_line_error, source_messages, wait_until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.stream import PIPELINE_START_TIMEOUT

RAW = "video/x-raw,width=320,height=240,framerate=10/1"
LIVE = f"videotestsrc is-live=true ! {RAW}"
PICTURES = 15


def check_first_pipeline() -> None:
    """The first pipeline ever scans all plugins; emulated, that can take longer than the timeout of a pipeline."""

    def opens() -> bool:
        try:
            with open_source(source=f"gst:{LIVE}") as source:
                print(source.name)
                return next(iter(source)).pixels.shape == (240, 320, 3)
        except SourceError as error:
            print(error)
            return False

    check("a pipeline without a sink gives BGR pictures", wait_until(opens))


def check_run() -> None:
    arguments = ("run", "--jsonl", "-", "--reconnect-timeout", 0, *LIGHT)
    process = fer_edge(*arguments, "--source", f"gst:videotestsrc num-buffers={PICTURES} ! {RAW}", "--rotate", 90)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    check("a pipeline that ends, ends the run", process.returncode == 0 and 1 <= len(lines) <= PICTURES)
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(lines))
    check("indices and times rise, and there are no more frames than it gave", rising and lines[-1]["frame"] < PICTURES)
    process = fer_edge(
        *arguments, "--max-frames", 3, "--source", f"{LIVE} ! videoconvert ! video/x-raw,format=BGR ! appsink"
    )
    check("a pipeline with an appsink of its own", process.returncode == 0 and len(process.stdout.splitlines()) == 3)
    process = fer_edge(*arguments, "--max-frames", 3, "--source", f"{LIVE},format=GRAY8 ! appsink")
    check("a gray pipeline", process.returncode == 0 and len(process.stdout.splitlines()) == 3)


def check_mistakes() -> None:
    for pipeline, message in (
        (f"{LIVE} ! nosuchelement", "cannot be opened; try it with gst-launch-1.0"),
        ("filesrc location=/nowhere ! decodebin", "cannot be opened; try it with gst-launch-1.0"),
        (f"{LIVE} ! ! !", f"gave no picture in {PIPELINE_START_TIMEOUT:g} s; try it with gst-launch-1.0"),
        (f"{LIVE},format=YUY2 ! appsink", "gives pictures of 2 channels"),
        (f"{LIVE},format=BGRx ! appsink", "gives pictures of 4 channels"),
    ):
        process = fer_edge("run", "--show", "none", "--source", f"gst:{pipeline}")
        check(f"'{pipeline.rpartition(RAW)[2] or pipeline}' is a one-line error", is_one_line_error(process, message))


def check_recording(folder: Path) -> None:
    """A file behind a pipeline: every frame is read, and it ends with the file."""
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for shade in range(PICTURES):
        writer.write(np.full((240, 320, 3), 10 * shade, np.uint8))
    writer.release()
    with open_source(
        SourceOptions(source=f"gst:filesrc location={path} ! avidemux ! jpegdec", reconnect_timeout=0)
    ) as source:
        shades = [round(float(frame.pixels.mean())) for frame in source]
    print(f"{source.name}: {'live' if source.live else 'a recording'}, {shades}")
    check("a file behind a pipeline is read to its end", shades[-1] in range(10 * PICTURES - 13, 10 * PICTURES - 7))


def check_silence() -> None:
    """A sender that stays connected and stops sending, twice."""
    jpeg = cv2.imencode(".jpg", np.full((240, 320, 3), 100, np.uint8))[1].tobytes()
    head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    messages = source_messages()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            clients = []  # kept, so that they stay connected
            while True:
                try:
                    client, _ = server.accept()
                    clients.append(client)
                    for _ in range(10):
                        client.sendall(head + jpeg + b"\r\n")
                        time.sleep(0.1)
                except OSError:
                    return

        threading.Thread(target=send, daemon=True).start()
        pipeline = f"gst:tcpclientsrc host=127.0.0.1 port={server.getsockname()[1]} ! multipartdemux ! jpegdec"
        with open_source(SourceOptions(source=pipeline, frame_timeout=2)) as source:
            frames = iter(source)
            received = [next(frames) for _ in range(3)]
            reader = threading.Thread(target=lambda: received.extend(frames))
            reader.start()
            lost_twice = wait_until(lambda: [line.split()[1] for line in messages][:3] == ["lost:", "back", "lost:"])
            source.stop()
            reader.join(60)
    print("\n".join(messages))
    check("a silent sender is lost, reconnected, and lost again", lost_twice)
    check(
        "indices and times rise throughout", all(b.index > a.index and b.time > a.time for a, b in pairwise(received))
    )
    check("it ends while it is disconnected", not reader.is_alive())


if __name__ == "__main__":
    check("this OpenCV has GStreamer", cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))
    print(f"OpenCV {cv2.__version__}")
    check_first_pipeline()
    check_run()
    check_mistakes()
    with tempfile.TemporaryDirectory() as folder:
        check_recording(Path(folder))
    check_silence()
    end()
