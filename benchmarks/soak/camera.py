"""A network camera for soaks: Motion JPEG over HTTP at a fixed rate, in a process that can be killed.

`python -m fer_edge.benchmarks.soak.camera PORT FOLDER RATE` sends the folder's pictures, in order and again and again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.clips import frames, head

SIZE = (320, 240)
"""Pixels of a picture."""

WITH_FACE, WITHOUT = 300, 100
"""Pictures with a face and then without one: tracks begin and end, and so do events."""

QUALITY = 80
"""JPEG quality, 0 to 100."""


def write_pictures(folder: Path) -> None:
    """Write the camera's pictures, a swaying face and then an empty room, as JPEG files.

    Args:
        folder: An empty folder.

    Raises:
        DataError: The portrait that the face is cut from cannot be read.
    """
    face = head()
    for index, picture in enumerate(_pictures(face)):
        cv2.imwrite(str(folder / f"{index:04}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _pictures(face: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    yield from frames(face, WITH_FACE, 1, *SIZE)
    yield from frames(face, WITHOUT, 0, *SIZE)


def serve(port: int, pictures: list[bytes], rate: float) -> None:
    """Serve one client at a time for ever.

    Args:
        port: TCP port on loopback.
        pictures: JPEG files.
        rate: Pictures per second.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            start = time.monotonic()
            try:
                for index, data in enumerate(cycle(pictures)):
                    time.sleep(max(0.0, start + index / rate - time.monotonic()))
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                pass  # the client has left

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), [path.read_bytes() for path in sorted(Path(sys.argv[2]).iterdir())], float(sys.argv[3]))
