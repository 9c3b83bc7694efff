"""The sink behind the live page: it hands frames over and never waits."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import threading
from collections.abc import Sequence
from time import monotonic, sleep

import uvicorn

from fer_edge.edge.errors import SinkError
from fer_edge.edge.types import Frame, Prediction
from fer_edge.edge.web.app import PageApp
from fer_edge.edge.web.auth import AuthMiddleware
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.jpeg import JpegEncoder
from fer_edge.edge.web.listen_address import bound, is_loopback, link, parse
from fer_edge.edge.web.state import RunInfo

SHORTEST = 8
"""Characters of a token: fewer can be guessed."""

CONNECTIONS = 100
"""More than these are turned away."""

PATIENCE = 10.0
"""Seconds for the server to start, and to end."""


class WebSink:
    """Serves the live page in a thread with an event loop of its own. Raises SinkError.

    address: [HOST:]PORT. token: needed beyond loopback, and made up there where it is None.
    link: where the page is, with the token only if it was made up, as it is known from nowhere else.
    """

    def __init__(self, address: str, token: str | None, run: RunInfo) -> None:
        if token is not None and not (len(token) >= SHORTEST and re.fullmatch(r"[!-~]+", token)):
            raise SinkError(f"--web-token: expected {SHORTEST} or more characters of ASCII without spaces")
        host, port = parse(address)
        listener = bound(host, port)
        local = is_loopback(listener)
        self.link = link(listener)
        if token is None and not local:
            token = secrets.token_urlsafe(24)
            self.link += f"?token={token}"
        self._live = FrameMailbox()
        self._pictures = JpegEncoder(self._live)
        app = AuthMiddleware(
            PageApp(run, self._live, self._pictures).app(), token, local, f"fer-edge-{listener.getsockname()[1]}"
        )
        self._server = _server(app)
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="web", daemon=True)
        self._thread.start()
        end = monotonic() + PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or monotonic() > end:
                raise SinkError(f"--web {address}: the server did not start")
            sleep(0.01)

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self._server.run(sockets=[listener])

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._live.put(frame, predictions)

    def end(self) -> None:
        """Tell the viewers that the source has ended; the page stays."""
        self._live.end()

    def close(self) -> None:
        """Tell the viewers that the program ends, and end the server; viewers that hang are cut off."""
        self._live.end(closing=True)
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._pictures.close()


def _server(app: AuthMiddleware) -> uvicorn.Server:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # what it has to say is for programmers
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
