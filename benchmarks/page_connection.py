"""A client's kept connection to the live page; bodies are discarded, so that many clients fit in a process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from fer_edge.benchmarks.page_process import PageProcess
from fer_edge.benchmarks.results_io.record import ResultError

BUFFER = 256 << 10
"""Bytes that are read at once at most: more than a picture, so that receiving one takes few calls."""

TIMEOUT = 30.0
"""Seconds to wait for an answer."""

_REFUSED = re.compile(rb"HTTP/1\.1 (?!200|204)\d+ [^\r]*")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Reader(asyncio.BufferedProtocol):
    """Splits what a server sends into messages: a head, and a body of the length that the head names, if any.

    An answer is a message. So is a part of a Motion JPEG stream, with what separates it from the last, and an event.

    Args:
        on_message: Called with each message's head when its body is complete.
        end: The end of a head.
    """

    def __init__(self, on_message: Callable[[bytes], None], end: bytes) -> None:
        self._on_message, self._end = on_message, end
        self._buffer = bytearray(BUFFER)
        self._received = b""  # of a head that is not complete
        self._head: bytes | None = None  # of the message whose body is being received
        self._remaining = 0  # bytes of that body

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = memoryview(self._buffer)[:nbytes]
        while data or self._head is not None:
            if self._head is None:
                head, end, rest = (self._received + data).partition(self._end)
                if not end:
                    self._received = head
                    return
                self._received, self._head, data = b"", head, memoryview(rest)
                length = _LENGTH.search(head)
                self._remaining = int(length[1]) if length else 0
            read = min(self._remaining, len(data))
            self._remaining, data = self._remaining - read, data[read:]
            if self._remaining:
                return
            head, self._head = self._head, None
            self._on_message(head)


class Connection:
    """A kept connection.

    Args:
        page: The server.
        on_message: Called with the head of each message.
        end: The end of a head.
    """

    def __init__(self, page: PageProcess, on_message: Callable[[bytes], None], end: bytes = b"\r\n\r\n") -> None:
        self._page, self._on_message, self._end = page, on_message, end
        self._refused = ""

    async def open(self) -> None:
        """Connect."""
        loop, page = asyncio.get_running_loop(), self._page
        self._transport, _ = await loop.create_connection(
            lambda: Reader(self._receive, self._end), page.host, page.port
        )

    def _receive(self, head: bytes) -> None:
        if refused := _REFUSED.match(head):
            self._refused = refused[0].decode()
        else:
            self._on_message(head)

    def get(self, path: str) -> None:
        """Send a GET request."""
        page = self._page
        head = f"Host: {page.host}:{page.port}\r\nAuthorization: Bearer {page.token}"
        self._transport.write(f"GET {path} HTTP/1.1\r\n{head}\r\n\r\n".encode())

    async def reply(self, answer: asyncio.Future[None]) -> None:
        """Wait for what `on_message` sets; ResultError where it does not come."""
        try:
            await asyncio.wait_for(answer, TIMEOUT)
        except TimeoutError:
            self.check()
            raise ResultError(f"the live page did not answer within {TIMEOUT:.0f} s") from None

    def check(self) -> None:
        """Raise ResultError where the server has refused a request or closed the connection."""
        if self._refused:
            raise ResultError(f"the live page answered {self._refused}")
        if self._transport.is_closing():
            raise ResultError("the live page closed a connection")

    def close(self) -> None:
        """Close it."""
        self._transport.abort()
