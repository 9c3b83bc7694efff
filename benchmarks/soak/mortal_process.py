"""A server that is killed and started again at random moments."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fer_edge.benchmarks.results_io.record import ResultError

ABSENT_SECONDS = (0.0, 2.0)
"""Shortest and longest time between its death and the next start."""

START_SECONDS = 20.0
"""Time that it may take to accept connections."""


class MortalProcess:
    """A server process that dies about every so many seconds and returns.

    Attributes:
        deaths: How often it was killed so far.
    """

    def __init__(self, words: Sequence[str], port: int, life: float, seed: int) -> None:
        """Start it.

        Args:
            words: Its command line.
            port: Where it listens on loopback.
            life: Mean seconds between two deaths.
            seed: Of the random moments.

        Raises:
            ResultError: It does not accept connections.
        """
        self.deaths = 0
        self._words, self._port, self._life = words, port, life
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._process = self._start()
        self._wait()
        self._killer = threading.Thread(target=self._kill_again, daemon=True)
        self._killer.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _wait(self) -> None:
        for _ in range(int(START_SECONDS / 0.05)):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            if self._process.poll() is not None or self._stopped.wait(0.05):
                break
        raise ResultError(f"{self._words[0]} does not listen on port {self._port}; expected a server")

    def _kill_again(self) -> None:
        while not self._stopped.wait(self._random.uniform(0.5, 1.5) * self._life):
            self._process.kill()
            self._process.wait()
            self.deaths += 1
            if self._stopped.wait(self._random.uniform(*ABSENT_SECONDS)):
                return
            self._process = self._start()

    def close(self) -> None:
        """End it for good."""
        self._stopped.set()
        self._killer.join()
        self._process.kill()
        self._process.wait()


@contextmanager
def mortal(words: Sequence[str], port: int, life: float, seed: int) -> Iterator[MortalProcess]:
    """A `MortalProcess` until the end of the block; the arguments are its own."""
    process = MortalProcess(words, port, life, seed)
    try:
        yield process
    finally:
        process.close()
