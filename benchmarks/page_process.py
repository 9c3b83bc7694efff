"""A `fer-edge run --web` in a process of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.device.board import read_text

LOG_LINES = 10_000
"""Log lines that are kept."""


@dataclass(frozen=True)
class PageProcess:
    """A live page that can be opened.

    Attributes:
        process: The id of the process that serves it.
        host: Where it listens.
        port: Its port.
        token: What its clients must send.
        log: The lines that it has logged since, its newest `LOG_LINES`.
    """

    process: int
    host: str
    port: int
    token: str
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    def cpu_seconds(self) -> float:
        """Processor time that the process has used, in user and kernel mode, seconds."""
        stat = read_text(Path(f"/proc/{self.process}/stat"))
        if stat is None:
            raise ResultError("fer-edge run --web has ended during the measurement")
        times = stat.rpartition(")")[2].split()[11:13]  # utime and stime, proc(5)
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def open_page(*options: str) -> Iterator[PageProcess]:
    """Start a headless run with a page on a free port of loopback.

    Args:
        options: Further options of `fer-edge run`, among them the source.

    Yields:
        The page, ready for clients; its process ends with the block.

    Raises:
        ResultError: The run ended before the page could be opened.
    """
    words = ("run", *options, "--show", "none", "--web", "127.0.0.1:0")
    token = secrets.token_urlsafe()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge.edge.cli", "--config", os.devnull, *words],  # not with this user's options
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "FER_EDGE_WEB_TOKEN": token},
    )
    assert process.stderr is not None
    try:
        last = "no message"
        for line in process.stderr:
            if line.startswith("live page: "):
                break
            last = line.strip() or last
        else:
            raise ResultError(f"fer-edge run --web failed: {last.removeprefix('fer-edge: ')}")
        address = urlsplit(line.split()[-1])
        page = PageProcess(process.pid, address.hostname or "", address.port or 0, token)
        threading.Thread(target=page.log.extend, args=(process.stderr,), daemon=True).start()  # a full pipe blocks
        yield page
    finally:
        process.kill()
        process.wait()
