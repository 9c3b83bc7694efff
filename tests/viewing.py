"""What the tests of the live page share: a camera on the network, and a run with a page."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import cv2
import httpx
import numpy as np

from fer_edge.models import FOLDER

T = TypeVar("T")
PORTRAIT = FOLDER.parent / "examples" / "astronaut.jpg"
LIMIT = 120  # seconds, for a busy machine


def until(found: Callable[[], T]) -> T:
    """What `found` gives as soon as it is true."""
    end = time.monotonic() + LIMIT
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return result


def moving(count: int) -> Iterator[np.ndarray]:
    """(240, 320, 3) pictures of a face that sways and gets darker and lighter."""
    portrait = cv2.resize(cv2.imread(str(PORTRAIT)), (240, 240), interpolation=cv2.INTER_AREA)
    for phase in 2 * np.pi * np.arange(count) / count:
        matrix = cv2.getRotationMatrix2D((120, 120), 15 * np.sin(2 * phase), 1.1)
        matrix[0, 2] += 40 + 30 * np.cos(phase)
        picture = cv2.warpAffine(portrait, matrix, (320, 240), borderValue=(90, 90, 90))
        yield cv2.convertScaleAbs(picture, alpha=0.7 + 0.3 * np.cos(phase))


class _Handler(BaseHTTPRequestHandler):
    """20 pictures a second for as long as anybody looks."""

    pictures: tuple[bytes, ...] = ()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        try:
            for index in range(100_000):
                data = self.pictures[index % len(self.pictures)]
                head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.05)
        except OSError:
            pass


@contextmanager
def network_camera() -> Iterator[str]:
    """The address of a camera that sends the moving face."""
    _Handler.pictures = tuple(cv2.imencode(".jpg", picture)[1].tobytes() for picture in moving(60))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Watched:
    """A `fer-edge run` with a live page. url: on this machine. token: what the printed link had, or ''."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "fer_edge.edge.cli", "run", "--show", "none", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.errors: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        link = until(lambda: self.process.poll() is not None or self._link())
        assert isinstance(link, str), "".join(self.errors)
        parts = urlsplit(link)
        self.url = f"http://127.0.0.1:{parts.port}/"
        self.token = parse_qs(parts.query).get("token", [""])[0]
        self.cookie = f"fer-edge-{parts.port}"
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._client = httpx.Client(base_url=self.url, headers=bearer, timeout=LIMIT, verify=False)
        self._bare = httpx.Client(base_url=self.url, timeout=LIMIT, verify=False)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(iter(self.process.stderr.readline, ""))

    def _link(self) -> str:
        return next((line.split()[-1] for line in list(self.errors) if line.startswith("live page: ")), "")

    def get(self, path: str, bare: bool = False, **options: Any) -> httpx.Response:
        """The answer; `bare` is without token and cookies."""
        if bare:
            self._bare.cookies.clear()
            return self._bare.get(f"{self.url[:-1]}{path}", **options)
        return self._client.get(path, **options)

    def state(self) -> Any:
        return self.get("/api/state").json()

    def events(self, count: int) -> Iterator[tuple[str, Any]]:
        """The names and values of so many events."""
        with self._client.stream("GET", "/api/events") as answer:
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])
                    count -= 1
                    if not count:
                        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._client.close()
        self._bare.close()
