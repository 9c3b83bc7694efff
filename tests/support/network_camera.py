"""A network camera for the tests, Motion JPEG over HTTP: a face that sways and gets darker and lighter.

It runs in a thread, or in a process that can be killed: python tests/support/network_camera.py PORT. It sends pictures
until the client leaves; under /some 40 of them, under /silent 11 and then nothing more. /none is a 404.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
PORTRAIT = HERE.parents[1] / "benchmarks" / "astronaut.jpg"
RATE = 25  # pictures per second
COUNTS = {"/some": 40, "/silent": 11}
RESERVED: list[socket.socket] = []
SERVERS = {
    "http": [sys.executable, str(HERE / "network_camera.py")],
    "rtsp": ["/usr/bin/python3", str(HERE / "rtsp_server.py")],
}


def moving(count: int) -> Iterator[np.ndarray]:
    """`count` pictures (240, 320, 3) of a movement that ends where it starts."""
    portrait = cv2.resize(cv2.imread(str(PORTRAIT)), (240, 240), interpolation=cv2.INTER_AREA)
    for phase in 2 * np.pi * np.arange(count) / count:
        matrix = cv2.getRotationMatrix2D((120, 120), 15 * np.sin(2 * phase), 1.1)
        matrix[0, 2] += 40 + 30 * np.cos(phase)
        picture = cv2.warpAffine(portrait, matrix, (320, 240), borderValue=(90, 90, 90))
        yield cv2.convertScaleAbs(picture, alpha=0.7 + 0.3 * np.cos(phase))


@cache
def jpegs() -> tuple[bytes, ...]:
    return tuple(cv2.imencode(".jpg", picture)[1].tobytes() for picture in moving(60))


class _Handler(BaseHTTPRequestHandler):
    """multipart/x-mixed-replace, as such cameras send it."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/none":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        try:
            for data in islice(cycle(jpegs()), COUNTS.get(self.path)):
                head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(1 / RATE)
            if self.path == "/silent":
                time.sleep(20)
        except OSError:
            pass


def _server(port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    return server


@contextmanager
def network_camera() -> Iterator[str]:
    """The address of a camera in a thread."""
    jpegs()
    with _server(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def free_port() -> int:
    """A port for a server of this test: it stays bound here, so that no other process gets it.

    SO_REUSEADDR lets the server, which has it too, bind it beside a socket that does not listen.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    RESERVED.append(probe)
    port: int = probe.getsockname()[1]
    return port


@contextmanager
def serving(scheme: str, port: int, *words: str, path: str = "live") -> Iterator[str]:
    """The address of a camera in a process that is killed at the end; `words` are arguments of the server."""
    process = subprocess.Popen([*SERVERS[scheme], str(port), *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield f"{scheme}://127.0.0.1:{port}/{path}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    with _server(int(sys.argv[1])) as listening:
        jpegs()
        print("listening", flush=True)
        listening.serve_forever()
