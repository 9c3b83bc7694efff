"""The live page's sink: it hands frames to the server's thread and never waits for it."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import socket
import threading
from collections.abc import Sequence
from functools import partial
from time import monotonic, sleep
from typing import Any, cast

import uvicorn

from fer_edge.edge.errors import SinkError
from fer_edge.edge.types import Frame, Prediction
from fer_edge.edge.web.app import LivePage
from fer_edge.edge.web.auth import STRONG_TOKEN_LENGTH, AuthMiddleware, is_strong
from fer_edge.edge.web.connections import ConnectionLimits
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.jpeg import JpegEncoder
from fer_edge.edge.web.listen_address import is_loopback, listen, page_link, parse_listen_address
from fer_edge.edge.web.protocol import PageProtocol
from fer_edge.edge.web.state import RunInfo
from fer_edge.edge.web.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

MIN_TOKEN_LENGTH = 8
"""Characters of a token: fewer are guessed within hours, however slowly wrong ones are answered."""

ACCEPTED_AT_ONCE = 8
"""Connections accepted before the requests of those that are open are answered."""

TRUSTED_PROXIES = ["127.0.0.1", "::1", "::ffff:127.0.0.1"]
"""Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: those on this machine."""

SERVER_TIMEOUT = 10.0
"""Seconds for the server to start, and to end."""


class WebSink:
    """Serves the live page in a thread with an event loop of its own.

    Args:
        address: `[HOST:]PORT` to listen on.
        token: Required from every client beyond loopback, where None generates one; on loopback only if it is given.
        run: The run that is shown.

    Attributes:
        address: The page's address.
        link: The same with the token if it was generated, as it is known from nowhere else.

    Raises:
        SinkError: The address or the token is invalid, or the server cannot start.
    """

    def __init__(self, address: str, token: str | None, run: RunInfo) -> None:
        if token is not None and not (len(token) >= MIN_TOKEN_LENGTH and re.fullmatch(r"[!-~]+", token)):
            raise SinkError(f"--web-token: expected {MIN_TOKEN_LENGTH} or more ASCII characters without spaces")
        host, port = parse_listen_address(address)
        limits = ConnectionLimits()
        listener = listen(host, port, limits)
        if token is not None and not is_strong(token):
            log.warning("--web-token can be guessed: use %d or more characters, or leave it out", STRONG_TOKEN_LENGTH)
        local = is_loopback(listener)
        self.link = self.address = page_link(listener)
        if token is None and not local:
            token = secrets.token_urlsafe(24)
            self.link += f"?token={token}"
        self._mailbox = FrameMailbox()
        self._encoder = JpegEncoder(self._mailbox)
        self._log = ThrottledLog(__name__)
        app = LivePage(run, self._mailbox, self._encoder).app()
        cookie = f"fer-edge-{listener.getsockname()[1]}"
        self._server = _server(AuthMiddleware(app, token, local and token is None, cookie), limits)
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="web", daemon=True)
        self._thread.start()
        end = monotonic() + SERVER_TIMEOUT
        while not self._server.started:
            if not self._thread.is_alive() or monotonic() > end:
                raise SinkError(f"--web {address}: the server did not start")
            sleep(0.01)

    def _serve(self, listener: socket.socket) -> None:
        try:
            with listener:
                asyncio.run(self._serve_until_exit(listener))
        except Exception as error:  # the recording goes on without the page
            log.error("live page: stopped: %s", error)

    async def _serve_until_exit(self, listener: socket.socket) -> None:
        """Serve; what fails in the event loop becomes a line a minute, not a traceback for each connection."""
        asyncio.get_running_loop().set_exception_handler(self._log_exception)
        await self._server.serve(sockets=[listener])

    def _log_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._log.warning(f"live page: {context.get('exception') or context['message']}")

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._mailbox.put(frame, predictions)

    def show_unrecognized(self, frame: Frame) -> None:
        self._mailbox.put(frame, [], recognition=False)

    def end(self) -> None:
        """Show that the source has ended; the page stays up."""
        self._mailbox.end()

    def close(self) -> None:
        """Send `stopped` to open pages and end the server; connections that hang are closed after a second."""
        self._mailbox.end(closing=True)
        self._server.should_exit = True
        self._thread.join(SERVER_TIMEOUT)
        self._encoder.close()


def _server(app: AuthMiddleware, limits: ConnectionLimits) -> uvicorn.Server:
    logger = logging.getLogger("uvicorn")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # its messages are for developers; without a handler they go to stderr
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=cast(type[asyncio.Protocol], partial(PageProtocol, limits)),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=TRUSTED_PROXIES,
            backlog=ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=1,
        )
    )
