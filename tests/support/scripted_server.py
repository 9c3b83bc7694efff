"""A TCP server that answers as a test says: with bytes, piece by piece, or not at all; with a certificate in TLS.

`multipart` and `http` make the bytes of a Motion JPEG camera and of an HTTP answer.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from network_camera import jpegs
from waiting import LIMIT

Answer = bytes | Iterable[bytes] | Callable[[str], "bytes | Iterable[bytes]"]
"""What a connection gets: bytes, pieces, or what a function makes of the request's head."""


class ScriptedServer:
    """Listens on a free port; connection N gets the answer N, all further ones the last.

    Attributes:
        port: Its port.
        requests: The heads of all requests so far.
    """

    def __init__(self, answers: Sequence[Answer], certificate: tuple[Path, Path] | None) -> None:
        self.requests: list[str] = []
        self._answers, self._context = answers, None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self.ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, self._count), daemon=True).start()
            self._count += 1

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError, ValueError):
            connection.settimeout(LIMIT)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                request = self._read_head(connection)
                while request:
                    self.requests.append(request)
                    answer = self._answers[min(number, len(self._answers) - 1)]
                    answer = answer(request) if callable(answer) else answer
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        connection.sendall(piece)
                    if not request.startswith("DESCRIBE") or answer == b"":
                        break
                    request = self._read_head(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # else unread bytes become a reset
                    pass

    def _read_head(self, connection: socket.socket) -> str:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(4096)
            if not data:
                return ""
            head += data
        return head.decode("latin-1")

    def silence(self) -> Iterator[bytes]:
        """An answer's end that never comes."""
        self.ended.wait(LIMIT)
        yield b""

    def close(self) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def scripted(*answers: Answer, certificate: tuple[Path, Path] | None = None) -> Iterator[ScriptedServer]:
    """A server for the block.

    Args:
        *answers: Those of the first, second … connection; the last is repeated.
        certificate: Files of a certificate and its key, for TLS.
    """
    server = ScriptedServer(answers, certificate)
    try:
        yield server
    finally:
        server.close()


def http(body: bytes, kind: str = "text/plain", status: str = "200 OK", length: bool = True, more: str = "") -> bytes:
    """An HTTP answer; `more` are further lines of its head, each with its line break."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
    head += f"Content-Length: {len(body)}\r\n{more}" if length else more
    return head.encode() + b"\r\n" + body


MULTIPART = "multipart/x-mixed-replace; boundary=cut"


def part(data: bytes, head: str | None = None) -> bytes:
    """A part of a multipart stream; `head` are its lines, by default those of a well-made camera."""
    lines = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n" if head is None else head
    return f"--cut\r\n{lines}\r\n".encode() + data + b"\r\n"


def multipart(parts: Iterable[bytes], kind: str = MULTIPART, more: str = "") -> Iterator[bytes]:
    """A Motion JPEG camera's answer, in pieces."""
    yield http(b"", kind, length=False, more=more)
    yield from parts


def pictures(count: int) -> list[bytes]:
    """Well-made parts, each with another JPEG."""
    return [part(data) for data in jpegs()[:count]]
