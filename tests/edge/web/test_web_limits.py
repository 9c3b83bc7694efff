"""Clients that mean no good: crowds, slow ones, and those that speak something else than HTTP."""

from __future__ import annotations

import hashlib
import re
import resource
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from predictions import CLASSES
from viewing import WebRun, still_page
from waiting import LIMIT, until

from fer_edge.edge.types import Box, Face, Frame, Prediction
from fer_edge.edge.web import connections, guess_limit, protocol
from fer_edge.edge.web.connections import client_network
from fer_edge.edge.web.guess_limit import (
    ADDRESS_BURST,
    ADDRESS_INTERVAL,
    MAX_DELAY,
    TOTAL_BURST,
    TOTAL_INTERVAL,
    GuessLimit,
)
from fer_edge.edge.web.sink import WebSink

pytestmark = pytest.mark.faults

HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
"""A request that does not end."""


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Iterator[None]:
    """Enough of them in this process for a crowd."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def protected(camera: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebRun]:
    """A run that needs a token, records into a file that is rotated often."""
    folder = tmp_path_factory.mktemp("recording")
    words = ("--jsonl", str(folder / "o.jsonl"), "--rotate-mb", "0.01", "--rotate-keep", "1000")
    with WebRun("--source", camera, "--web", "0.0.0.0:0", *words) as run:
        run.folder = folder
        yield run
        assert run.process.poll() is None
        assert len("".join(run.errors)) < 5000 and "Traceback" not in "".join(run.errors)


def lines(run: WebRun) -> int:
    """Lines of the recording so far."""
    return sum(path.read_bytes().count(b"\n") for path in run.folder.iterdir())


def connect(run: WebRun, source: str = "127.0.0.1") -> socket.socket:
    port = urlsplit(run.url).port
    return socket.create_connection(("127.0.0.1", port), LIMIT, source_address=(source, 0))


@contextmanager
def crowd(run: WebRun, size: int, first_bytes: bytes, sources: tuple[str, ...] = ("127.0.0.1",)) -> Iterator[None]:
    """Connections that send a few bytes and wait."""
    with ExitStack() as closing:
        for source in islice(cycle(sources), size):
            client = closing.enter_context(connect(run, source))
            with suppress(OSError):  # closed by the server already
                client.sendall(first_bytes)
        yield


def check_owner_and_recording(run: WebRun) -> None:
    """The owner gets page and picture with a new connection each, and the recording goes on."""
    before = lines(run)
    for path in ("/", "/frame.jpg", "/api/state"):
        bearer = {"Authorization": f"Bearer {run.token}"}
        assert httpx.get(run.url[:-1] + path, headers=bearer, timeout=LIMIT).status_code == 200
    until(lambda: lines(run) > before + 50)


ADDRESSES = tuple(f"127.0.{index // 250}.{2 + index % 250}" for index in range(600))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first_bytes", "sources", "files"),
    [
        (b"", ("127.0.0.1",), 64),  # the owner's own address
        (HALF, ("127.0.0.2", "127.0.0.3"), 256),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", ADDRESSES, 128),
    ],
    ids=("idle", "half-open", "without a token"),
)
def test_a_crowd_of_connections(protected: WebRun, first_bytes: bytes, sources: tuple[str, ...], files: int) -> None:
    """With a limit of open files that they would reach; the recording opens a new file each second."""
    resource.prlimit(protected.process.pid, resource.RLIMIT_NOFILE, (files, 256))
    with crowd(protected, 1200, first_bytes, sources):
        check_owner_and_recording(protected)


def test_descriptors_that_something_else_has_used_up(camera: str) -> None:
    """No connection can be accepted; a line is logged, and all goes on when there are descriptors again."""
    with WebRun("--source", camera, "--web", "127.0.0.1:0") as run, ExitStack() as waiting:
        limit = resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE)
        before = run.state()["frames"]
        used = len(list(Path(f"/proc/{run.process.pid}/fd").iterdir()))
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (used - 2, limit[1]))
        for _ in range(50):
            waiting.enter_context(connect(run))
        until(lambda: "Too many open files" in "".join(run.errors))
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, limit)
        until(lambda: httpx.get(f"{run.url}api/state", timeout=LIMIT).json()["frames"] > before + 10)
        assert "".join(run.errors).count("Too many open files") == 1 and "Traceback" not in "".join(run.errors)


ENDLESS = [
    b"",
    b"\x00",
    HALF,
    b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF,
    b"GET /frame.jpg HTTP/1.0\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500,
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
]


def test_the_end_with_every_kind_of_connection_open(camera: str) -> None:
    with WebRun("--source", camera, "--web", "127.0.0.1:0", "--max-frames", "1000000") as run, ExitStack() as opened:
        for data in ENDLESS * 3:
            opened.enter_context(connect(run)).sendall(data)
        until(lambda: run.state()["viewers"] >= 6 and run.state()["frames"])
        assert run.wait(signal.SIGTERM) == 0
        assert "Traceback" not in "".join(run.errors)


HOSTILE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(27),
    b"\x00" * 5000,
    b"\r\n" * 5000,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000,
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /static/%00.js HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET /static/" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET /static/../auth.py HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET /static/%2e%2e%2fauth.py HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET /static//etc/passwd HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET /\x80\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%ff%fe?token=%ff%00 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
    b"GET /a%0d%0aX-Injected:%20b?token={token} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
    b"GET http://evil.example/?token={token} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 300_000,
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 60_000 + b"zz\r\n",
    b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n\x00garbage\r\n\r\n",
    b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n5\r\nhello\r\nzz\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300 + b"\x00",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"fer-edge=\xff; " * 500 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
]


def test_hostile_bytes(protected: WebRun) -> None:
    """Each gets an answer without anything of the page, or none; the server goes on and reports nothing."""
    before = len(protected.errors)
    for template in HOSTILE:
        data = template.replace(b"{token}", protected.token.encode())
        with connect(protected) as client:
            with suppress(OSError):  # the server may refuse the rest
                client.sendall(data)
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            head = received(client)[:200]
            public = data.startswith((b"GET /healthz", b"GET /stream.mjpg"))  # the latter with the token
            assert not head or re.match(rb"HTTP/1.1 [2345]" if public else rb"HTTP/1.1 [345]", head), (data[:100], head)
            assert b"\nX-Injected" not in head and b"root:" not in head and b"def " not in head
    check_owner_and_recording(protected)
    assert protected.errors[before:] == []


def received(client: socket.socket) -> bytes:
    """What the server sends, up to a picture's size."""
    data = b""
    with suppress(OSError):
        while len(data) < 20_000 and (more := client.recv(65536)):
            data += more
    return data


# --- slow ones ---------------------------------------------------------------------------------------------------


def connect_to(link: str, receive: int | None = None) -> socket.socket:
    """A connection to a page, with a small buffer for what it receives where `receive` says so."""
    where = urlsplit(link)
    client = socket.socket()
    if receive is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(LIMIT)
    client.connect((where.hostname, where.port))
    return client


def status(page: WebSink) -> int:
    """Of an answer over a connection of its own."""
    return httpx.get(f"{page.link}api/state", timeout=LIMIT).status_code


def closed(client: socket.socket) -> bool:
    """Read to the end of the connection; fails after LIMIT."""
    client.settimeout(LIMIT)
    with suppress(ConnectionError):
        while client.recv(65536):
            pass
    return True


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (b"G", b"E"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=("idle", "header", "method", "body", "chunked", "keep-alive", "second request", "body after the answer"),
)
def test_slow_requests_are_closed(monkeypatch: pytest.MonkeyPatch, start: bytes, more: bytes) -> None:
    """Also those that send a little all the time."""
    monkeypatch.setattr(protocol, "REQUEST_TIMEOUT", 0.3)
    with still_page("a-good-token-of-20") as page, connect_to(page.link) as client:
        client.sendall(start)
        finished = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while not finished.wait(0.05):
                    client.sendall(more)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert closed(client)
        finally:
            finished.set()
            thread.join(LIMIT)


@pytest.mark.parametrize("path", ["stream.mjpg", "api/events", "frame.jpg"])
def test_viewers_that_do_not_read_lose_their_place(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(protocol, "STALL_TIMEOUT", 0.3)
    monkeypatch.setattr(protocol, "REQUEST_TIMEOUT", 0.3)
    monkeypatch.setattr(connections, "MAX_VIEWERS", 1)
    request = f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)  # large as JPEG
    faces = [Prediction(Face(Box(0, 0, 20, 20), 0.9), np.full(7, 1 / 7, np.float32), CLASSES)] * 300
    with still_page() as page, connect_to(page.link, receive=2048) as client:
        client.sendall(request * 10)
        until(lambda: status(page) == 503)
        for index in count():
            page.show(Frame(noise, index), faces)
            if status(page) == 200:
                break


def test_there_are_places_for_so_many_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_VIEWERS", 3)
    with still_page() as page, ExitStack() as viewing:
        for _ in range(3):
            client = viewing.enter_context(connect_to(page.link))
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        assert status(page) == 503
        client.close()
        until(lambda: status(page) == 200)


def test_fifty_pages_that_connect_at_once_from_one_address() -> None:
    """Each with two connections, and all connected before the first request, as behind a proxy."""
    with still_page() as page, ExitStack() as viewing:
        clients = [viewing.enter_context(connect_to(page.link)) for _ in range(101)]
        for client in clients:
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}


# --- guessing the token -----------------------------------------------------------------------------------------


def wrong_token(way: str, index: int) -> dict[str, Any]:
    """Options of a request with a wrong token."""
    token = f"wrong-token-{index}"
    return {
        "header": {"headers": {"Authorization": f"Bearer {token}"}},
        "link": {"params": {"token": token}},
        "form": {"data": {"token": token}},
        "browser": {"data": {"token": token}, "headers": {"Accept": "text/html"}},
    }[way]


def guess(client: httpx.Client, way: str, index: int) -> int:
    """The status of an answer to a wrong token."""
    method = "POST" if way in ("form", "browser") else "GET"
    return client.request(method, "/", **wrong_token(way, index)).status_code


@pytest.mark.parametrize("token", ["short-token", "a-token-that-is-long"])
def test_guesses_are_slowed_down(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Whatever way they come; the owner at the same address gets in at once with a long token, else soon."""
    monkeypatch.setattr(guess_limit, "ADDRESS_INTERVAL", 0.2)
    monkeypatch.setattr(guess_limit, "MAX_DELAY", 0.4)
    with still_page(token) as page, client_of(page) as client, ThreadPoolExecutor(16) as pool:
        ways = islice(cycle(["header", "link", "form", "browser"]), 100)
        start = monotonic()
        answers = Counter(pool.map(partial(guess, client), ways, range(100)))
        seconds = monotonic() - start
        assert set(answers) == {401, 429}
        assert answers[401] <= guess_limit.ADDRESS_BURST + seconds / 0.2 + 3

        def owner() -> int:
            return client.get("/api/state", headers={"Authorization": f"Bearer {token}"}).status_code

        if token == "short-token":
            until(lambda: owner() == 200)
        assert {owner() for _ in range(50)} == {200}


@pytest.mark.parametrize(
    ("token", "weak"), [("12345678", True), (16 * "a", True), (2 * "password", True), ("a-token-that-is-long", False)]
)
def test_a_token_that_can_be_guessed_is_reported(messages: list[str], token: str, weak: bool) -> None:
    with still_page(token):
        assert any("can be guessed" in line for line in messages) == weak
        assert token not in "".join(messages)


def client_of(page: WebSink) -> httpx.Client:
    return httpx.Client(base_url=page.link, timeout=LIMIT, verify=False, limits=httpx.Limits(max_connections=16))


def test_the_cookie_is_not_guessed_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses a short token cannot compute the cookie; a wrong one of a long token costs as a wrong token."""
    monkeypatch.setattr(guess_limit, "MAX_DELAY", 0.0)
    for token, codes in [("short-token", {401}), ("a-token-that-is-long", {401, 429})]:
        value = hashlib.sha256(f"fer-edge cookie {token if codes == {401} else 'another'}".encode()).hexdigest()
        with still_page(token) as page, client_of(page) as client:
            cookie = {"Cookie": f"fer-edge-{urlsplit(page.link).port}={value}"}
            answers = Counter(client.get("/", headers=cookie).status_code for _ in range(2 * ADDRESS_BURST))
            assert set(answers) == codes
            bearer = {"Authorization": f"Bearer {token}"}
            assert client.get("/", headers=bearer).status_code == 200


def test_a_guess_limit_refills_and_forgets() -> None:
    now = 1000.0
    limit = GuessLimit(lambda: now)
    assert [limit.take("a") for _ in range(ADDRESS_BURST)] == [0] * ADDRESS_BURST
    assert [limit.take("a"), limit.take("a"), limit.take("a")] == [ADDRESS_INTERVAL, 2 * ADDRESS_INTERVAL, None]
    assert limit.take("b") == 0
    now += 5 * ADDRESS_INTERVAL
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, ADDRESS_INTERVAL]
    taken = [limit.take(f"10.0.{index // 250}.{index % 250}") for index in range(5000)]
    assert len([delay for delay in taken if delay is not None]) <= TOTAL_BURST + MAX_DELAY / TOTAL_INTERVAL + 1
    now += 1000
    limit.take("c")
    assert list(limit._empty_at) == ["c"]


def test_a_right_token_takes_no_share() -> None:
    limit = GuessLimit(lambda: 0.0)
    for _ in range(100):
        assert limit.take("a") == 0
        limit.give_back("a")


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_one_client_has_one_network(host: str | None, network: str) -> None:
    assert client_network(host) == network
