"""A run with a live page, for the tests of the page."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx
from network_camera import PORTRAIT
from predictions import CLASSES
from waiting import LIMIT, until

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import open_source
from fer_edge.edge.web.sink import WebSink
from fer_edge.edge.web.state import RunInfo


class WebRun:
    """A `fer-edge run` with a live page.

    Attributes:
        url: The page's address on this machine.
        token: The token in the printed link, or ''.
        cookie: Name of the page's cookie.
        errors: Lines on stderr so far.
    """

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "fer_edge.edge.cli", "run", "--show", "none", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.errors: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        link = until(lambda: self.process.poll() is not None or self._link())
        assert isinstance(link, str), "".join(self.errors)
        parts = urlsplit(link)
        self.url = f"http://127.0.0.1:{parts.port}/"
        self.token = parse_qs(parts.query).get("token", [""])[0]
        self.cookie = f"fer-edge-{parts.port}"
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._client = httpx.Client(base_url=self.url, headers=bearer, timeout=LIMIT, verify=False)
        self._anonymous = httpx.Client(base_url=self.url, timeout=LIMIT, verify=False)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(iter(self.process.stderr.readline, ""))

    def _link(self) -> str:
        return next((line.split()[-1] for line in list(self.errors) if line.startswith("live page: ")), "")

    def get(self, path: str, anonymous: bool = False, **options: Any) -> httpx.Response:
        """The answer to a GET request; `anonymous` sends neither token nor cookies."""
        if anonymous:
            self._anonymous.cookies.clear()
            return self._anonymous.get(f"{self.url[:-1]}{path}", **options)
        return self._client.get(path, **options)

    def state(self) -> Any:
        return self.get("/api/state").json()

    def events(self, count: int) -> Iterator[tuple[str, Any]]:
        """Names and values of the first `count` events."""
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

    def wait(self, number: signal.Signals | None = None) -> int:
        """Wait for the end of the run, which is first sent the signal; its exit code. `errors` is complete then."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._client.close()
        self._anonymous.close()


@contextmanager
def still_page(
    token: str | None = None, address: str = "127.0.0.1:0", classes: tuple[str, ...] = CLASSES
) -> Iterator[WebSink]:
    """A live page in this process, of a run that has shown one picture without a face."""
    with ExitStack() as closing:
        thermal = ThermalMonitor(lambda *_: None)
        closing.callback(thermal.close)
        source = closing.enter_context(open_source(source=PORTRAIT))
        page = WebSink(address, token, RunInfo(source, "ensemble", classes, (), RunStats(), thermal))
        closing.callback(page.close)
        page.show(next(iter(source)), [])
        yield page
