"""HTTP of one connection to the live page, with the time limits that uvicorn's protocol lacks."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_edge.edge.web.connections import ConnectionLimits

REQUEST_TIMEOUT = 10.0
"""Seconds for a whole request, headers and body, from the start of the connection or the end of the last answer."""

STALL_TIMEOUT = 60.0
"""Seconds after which a client that reads too little of its answer is dropped: it keeps a viewer's place."""

RECEIVED = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
"""States of a client whose request has come as a whole."""


class PageProtocol(H11Protocol):
    """A connection that is counted, and closed if its client is slow.

    The ASGI scope has it as `state["connection"]`.

    Args:
        limits: Counts the connections.
        options: As uvicorn gives them.
    """

    def __init__(self, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(**options)
        self.app_state = {"connection": self}
        self._limits = limits
        self._lost = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def admit(self) -> bool:
        """Take a viewer's place; False where none is free."""
        return self._limits.admit(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._limits.add(self, self.client[0] if self.client else None)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._limits.remove(self)
        for timer in (self._deadline, self._stall, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception:  # uvicorn answers 400 even where it has answered already, which h11 refuses
            self.abort()
        self._watch()

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # a refusal is on its way to it
            self.abort()

    def on_response_complete(self) -> None:
        self._stop_clock()
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Run the clock except while an answer is being made to a request that has come as a whole."""
        if self.cycle is not None and not self.cycle.response_complete and self.conn.their_state in RECEIVED:
            self._stop_clock()
        elif self._deadline is None and not self._lost:
            self._deadline = self.loop.call_later(REQUEST_TIMEOUT, self._expire)

    def _expire(self) -> None:
        if self.transport.get_write_buffer_size():  # the last answer is still on its way over a slow network
            self._deadline = self.loop.call_later(STALL_TIMEOUT, self.abort)
        else:
            self.abort()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(STALL_TIMEOUT, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
