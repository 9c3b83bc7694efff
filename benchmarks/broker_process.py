"""A Mosquitto in a process of its own, and what it takes of the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer_edge.benchmarks.process_memory import resident_mib
from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.device.board import read_text

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
"""The MQTT broker, where it is installed: Debian has it in /usr/sbin."""

START_SECONDS = 20.0
"""Time that it may take to accept connections."""


@dataclass(frozen=True)
class BrokerProcess:
    """A broker.

    Attributes:
        process: Its process's id.
        port: Its port on 127.0.0.1.
    """

    process: int
    port: int

    def cpu_seconds(self) -> float:
        """Processor time that it has used, in user and kernel mode, seconds."""
        stat = read_text(Path(f"/proc/{self.process}/stat"))
        if stat is None:
            raise ResultError("mosquitto has ended during the measurement")
        return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")  # proc(5)

    def resident_mib(self) -> float | None:
        """Its resident memory, MiB."""
        return resident_mib(self.process)


@contextmanager
def running_broker(folder: Path, more: Sequence[str] = ()) -> Iterator[BrokerProcess]:
    """Run Mosquitto until the end of the block, without storage and for anybody on this machine.

    Args:
        folder: Where its configuration is written.
        more: Further lines of it.

    Yields:
        The broker.

    Raises:
        ResultError: It is not installed, or does not start.
    """
    if MOSQUITTO is None:
        raise ResultError("there is no mosquitto on this machine: sudo apt-get install mosquitto")
    port = free_port()
    process = subprocess.Popen(broker_words(folder, port, more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > end:
                raise ResultError(f"{MOSQUITTO} does not listen on port {port}")
            time.sleep(0.05)
        yield BrokerProcess(process.pid, port)
    finally:
        process.kill()
        process.wait()


def broker_version() -> str:
    """The broker and its version, as `mosquitto 2.0.11`."""
    done = subprocess.run([str(MOSQUITTO), "-h"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return f"mosquitto {words[2]}" if words[1:2] == ["version"] else "mosquitto"


def broker_words(folder: Path, port: int, more: Sequence[str] = ()) -> list[str]:
    """The command line of a Mosquitto, whose configuration this writes into the folder."""
    configuration = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "log_type none", *more]
    if os.geteuid() == 0:
        lines.insert(0, "user root")  # otherwise it could not read its file here
    configuration.write_text("\n".join(lines) + "\n")
    return [str(MOSQUITTO), "-c", str(configuration)]


def free_port() -> int:
    """A TCP port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
