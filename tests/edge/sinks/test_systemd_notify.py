"""Messages to systemd, received on a socket as systemd does."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from network_camera import PORTRAIT
from training import command
from waiting import LIMIT, until

from fer_edge.edge.sinks.systemd_notify import PINGS_PER_TIMEOUT, SystemdNotifySink, notify, watchdog_timeout
from fer_edge.edge.types import Frame


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """A service manager's socket: its address, and a function that returns all messages so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        address = str(tmp_path / "notify")
        server.bind(address)
        messages: list[str] = []

        def listen() -> None:
            while (message := server.recv(4096).decode()) != "end":
                messages.append(message)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()

        def received() -> list[str]:
            until(lambda: notify("end", {"NOTIFY_SOCKET": address}))
            thread.join(LIMIT)
            return messages

        yield address, received


@pytest.fixture
def received(listener: tuple[str, Callable[[], list[str]]], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The messages of this process."""
    monkeypatch.setenv("NOTIFY_SOCKET", listener[0])
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return listener[1]


@pytest.mark.slow
def test_messages_of_a_run(tmp_path: Path, listener: tuple[str, Callable[[], list[str]]]) -> None:
    address, received = listener
    picture = cv2.resize(cv2.imread(str(PORTRAIT)), (320, 240))
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for _ in range(100):
        writer.write(picture)
    writer.release()
    environment = os.environ | {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"}
    words = ("run", "--source", tmp_path / "clip.avi", "--show", "none")
    done = subprocess.run(command(*words), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    first, *between, last = received()
    assert first.splitlines()[0] == "READY=1"
    assert between
    assert all(message.startswith("WATCHDOG=1\nSTATUS=") for message in between)
    assert "frames/s, 1 face in the last" in between[-1]
    assert last == "STOPPING=1"


def test_pings_come_often_enough_and_only_with_frames(
    received: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    now = [0.0]
    sink = SystemdNotifySink(lambda: 0.0, lambda: now[0])
    frame = Frame(cv2.imread(str(PORTRAIT)))
    for _ in range(600):
        sink.show(frame, [])
        now[0] += 0.1
    pings = [message for message in received() if message.startswith("WATCHDOG")]
    assert 60 / 30 * 2 <= 60 / 30 * PINGS_PER_TIMEOUT <= len(pings) <= 13


def test_a_disconnected_source_is_no_hang(received: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    answers: list[float] = []

    def disconnected() -> float:
        answers.append(12.3)
        return answers[-1]

    sink = SystemdNotifySink(disconnected)
    until(lambda: len(answers) > 1)  # the first answer has been reported
    sink.close()
    assert "WATCHDOG=1\nSTATUS=the source has been disconnected for 12 s" in received()


def test_without_a_service_manager_nothing_happens(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notify("READY=1", {"NOTIFY_SOCKET": "vsock:2:1"})
    assert watchdog_timeout({}) is None
    assert watchdog_timeout({"WATCHDOG_USEC": "30000000"}) == 30
    assert watchdog_timeout({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_timeout({"WATCHDOG_USEC": "soon"}) is None


def test_an_abstract_socket_is_reached() -> None:
    name = f"fer-edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        assert notify("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert server.recv(100) == b"READY=1"
