"""GStreamer pipelines with an OpenCV that has GStreamer, Debian's; tests/device/debian.sh runs it."""

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
from checking import LIGHT, check, end, fer_edge, one_line, reports, waited

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.stream import PIPELINE_START_TIMEOUT

RAW = "video/x-raw,width=320,height=240,framerate=10/1"
LIVE = f"videotestsrc is-live=true ! {RAW}"
PICTURES = 15


def first() -> None:
    """The first pipeline ever looks through all plugins; emulated, that can outlast a pipeline's time."""

    def opened() -> bool:
        try:
            with open_source(source=f"gst:{LIVE}") as source:
                print(source.name)
                return next(iter(source)).pixels.shape == (240, 320, 3)
        except SourceError as error:
            print(error)
            return False

    check("a pipeline without an end gives BGR pictures", waited(opened))


def running() -> None:
    words = ("run", "--jsonl", "-", "--reconnect-timeout", 0, *LIGHT)
    done = fer_edge(*words, "--source", f"gst:videotestsrc num-buffers={PICTURES} ! {RAW}", "--rotate", 90)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    check("a pipeline that ends, ends the run", done.returncode == 0 and 1 <= len(lines) <= PICTURES)
    rising = all(b["frame"] > a["frame"] and b["time"] > a["time"] for a, b in pairwise(lines))
    check("numbers and times rise, to no more than it gave", rising and lines[-1]["frame"] < PICTURES)
    done = fer_edge(*words, "--max-frames", 3, "--source", f"{LIVE} ! videoconvert ! video/x-raw,format=BGR ! appsink")
    check("one with an appsink of its own", done.returncode == 0 and len(done.stdout.splitlines()) == 3)
    done = fer_edge(*words, "--max-frames", 3, "--source", f"{LIVE},format=GRAY8 ! appsink")
    check("one that is gray", done.returncode == 0 and len(done.stdout.splitlines()) == 3)


def mistakes() -> None:
    for pipeline, told in (
        (f"{LIVE} ! nosuchelement", "cannot be opened; try it with gst-launch-1.0"),
        ("filesrc location=/nowhere ! decodebin", "cannot be opened; try it with gst-launch-1.0"),
        (f"{LIVE} ! ! !", f"gave no picture in {PIPELINE_START_TIMEOUT:g} s; try it with gst-launch-1.0"),
        (f"{LIVE},format=YUY2 ! appsink", "gives pictures of 2 channels"),
        (f"{LIVE},format=BGRx ! appsink", "gives pictures of 4 channels"),
    ):
        done = fer_edge("run", "--show", "none", "--source", f"gst:{pipeline}")
        check(f"'{pipeline.rpartition(RAW)[2] or pipeline}' costs one line and exit code 2", one_line(done, told))


def recording(folder: Path) -> None:
    """A file behind a pipeline: every picture is read, and its end is the end."""
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    for shade in range(PICTURES):
        writer.write(np.full((240, 320, 3), 10 * shade, np.uint8))
    writer.release()
    with open_source(
        SourceOptions(source=f"gst:filesrc location={path} ! avidemux ! jpegdec", reconnect_timeout=0)
    ) as source:
        seen = [round(float(frame.pixels.mean())) for frame in source]
    print(f"{source.name}: {'live' if source.live else 'a recording'}, {seen}")
    check("a file behind a pipeline is read to its end", seen[-1] in range(10 * PICTURES - 13, 10 * PICTURES - 7))


def silence() -> None:
    """A sender that is there and says nothing more, twice."""
    jpeg = cv2.imencode(".jpg", np.full((240, 320, 3), 100, np.uint8))[1].tobytes()
    head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    told = reports()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            kept = []
            while True:
                try:
                    client, _ = server.accept()
                    kept.append(client)
                    for _ in range(10):
                        client.sendall(head + jpeg + b"\r\n")
                        time.sleep(0.1)
                except OSError:
                    return

        threading.Thread(target=send, daemon=True).start()
        pipeline = f"gst:tcpclientsrc host=127.0.0.1 port={server.getsockname()[1]} ! multipartdemux ! jpegdec"
        with open_source(SourceOptions(source=pipeline, frame_timeout=2)) as source:
            frames = iter(source)
            seen = [next(frames) for _ in range(3)]
            taking = threading.Thread(target=lambda: seen.extend(frames))
            taking.start()
            lost_twice = waited(lambda: [line.split()[1] for line in told][:3] == ["lost:", "back", "lost:"])
            source.stop()
            taking.join(60)
    print("\n".join(told))
    check("one that falls silent is lost, opened again, and lost again", lost_twice)
    check("numbers and times rise throughout", all(b.index > a.index and b.time > a.time for a, b in pairwise(seen)))
    check("it ends while it is away", not taking.is_alive())


if __name__ == "__main__":
    check("this OpenCV has GStreamer", cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))
    print(f"OpenCV {cv2.__version__}")
    first()
    running()
    mistakes()
    with tempfile.TemporaryDirectory() as folder:
        recording(Path(folder))
    silence()
    end()
