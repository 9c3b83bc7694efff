"""The messages of a run, recorded at a broker to be replayed by any number of devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.commands.fleet.client import FleetClient
from fer_edge.edge.commands.fleet.options import FleetOptions

TOPICS = ("state", "event", "availability")

WARM_UP = 30.0
"""Seconds in which the run must be online."""


@dataclass(frozen=True)
class Session:
    """What a run has published.

    Attributes:
        seconds: Its length; it is replayed again and again.
        messages: Seconds since its start, topic (`state` or `event`) and JSON object, in their order.
    """

    seconds: float
    messages: Sequence[tuple[float, str, dict[str, Any]]]

    def save(self, path: Path) -> Path:
        """Write it as JSON; the path."""
        path.write_text(json.dumps([self.seconds, self.messages]))
        return path


def load_session(path: Path) -> Session:
    """The session that `Session.save` has written."""
    seconds, messages = json.loads(path.read_text())
    return Session(seconds, [(offset, topic, record) for offset, topic, record in messages])


def record_session(clip: Path, port: int, seconds: float) -> Session:
    """Run `fer-edge run` on a repeated clip, and record what it publishes.

    Args:
        clip: The clip.
        port: The broker's port on 127.0.0.1.
        seconds: How long to record, once it is online.

    Returns:
        The session.

    Raises:
        ResultError: The run does not publish.
    """
    url = f"mqtt://127.0.0.1:{port}/recorded"
    words = ["run", "--source", str(clip), "--loop", "--show", "none", "--mqtt", url, "--mqtt-id", "run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge.edge.cli", "--config", os.devnull, *words, "--mqtt-discovery", "none"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        with FleetClient(FleetOptions(url)) as client:
            client.subscribe("run", TOPICS)
            end = time.monotonic() + WARM_UP
            while (message := client.next_message(end - time.monotonic())) is not None:
                if message.topic == "availability" and message.payload == b"online":
                    break
            else:
                raise ResultError(f"fer-edge run has published nothing within {WARM_UP:g} s")
            return Session(seconds, list(_recorded(client, seconds)))
    finally:
        process.kill()
        process.wait()


def _recorded(client: FleetClient, seconds: float) -> Any:
    start = time.monotonic()
    while (message := client.next_message(start + seconds - time.monotonic())) is not None:
        if message.topic != "availability":
            yield time.monotonic() - start, message.topic, json.loads(message.payload)
