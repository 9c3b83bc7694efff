"""A request to a network camera: redirects, proxies, passwords, certificates and a deadline."""

from __future__ import annotations

import http.client
import warnings
import zlib
from functools import partial
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
    getproxies,
    proxy_bypass,
)

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.sources.address_login import split_login
from fer_edge.edge.sources.http_cause import failure_cause, status_cause
from fer_edge.edge.sources.http_login import login_handlers
from fer_edge.edge.sources.network_errors import host_and_port, sent_text
from fer_edge.edge.sources.network_trust import Trust
from fer_edge.edge.sources.timed_socket import Deadline, TimedSocket, connect, start_tls

warnings.filterwarnings("ignore", "Basic Auth Realm was unquoted", UserWarning)  # urllib's, for developers

CHUNK = 64 * 1024
"""Bytes that are read, or decompressed, at a time."""


class HttpBody:
    """The answer to a GET, read piece by piece; `with` closes it.

    Attributes:
        content_type: The media type in lower case, without parameters; "" where there is none.
        length: Bytes of the body as the server announces them, or None.
        deadline: Ends every read; its user restarts it.
    """

    def __init__(self, response: http.client.HTTPResponse, name: str, deadline: Deadline) -> None:
        self._response, self._name, self.deadline = response, name, deadline
        self.content_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        coding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
        if coding not in ("identity", "gzip", "deflate", "x-gzip"):
            raise SourceError(f"{name} is compressed as {sent_text(coding)!r}, which was not requested")
        self._unzip = None if coding == "identity" else zlib.decompressobj(47)
        self.length = response.length if self._unzip is None else None

    def read(self) -> bytes:
        """Read what has arrived.

        Returns:
            1 to `CHUNK` bytes; none at the end.

        Raises:
            TimeoutError: Nothing came before the deadline.
            SourceError: The connection broke, or the body is damaged.
        """
        try:
            while True:
                if self._unzip is None:
                    return self._response.read1(CHUNK)
                packed = self._unzip.unconsumed_tail or self._response.read1(CHUNK)
                data = self._unzip.decompress(packed, CHUNK)
                if data or not packed:
                    return data
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
            raise SourceError(f"{self._name} broke off ({sent_text(str(error)) or type(error).__name__})") from None

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


def open_http(address: str, timeout: float, trust: Trust) -> HttpBody:
    """Request an http:// or https:// address.

    Args:
        address: The address; user and password in it are used, and never in an error.
        timeout: Seconds for the connection and the answer's head, through all redirects.
        trust: Certificates that are accepted.

    Returns:
        The answer.

    Raises:
        SourceError: The cause in one line.
    """
    name = redact(address)
    try:
        bare, login = split_login(address)
        host = _host(bare)
    except ValueError as error:
        raise SourceError(f"{name} cannot be opened as a stream: {error}") from None
    proxy = _proxy(bare)
    if proxy is not None:
        host = f"the proxy {redact(proxy)} (from {urlsplit(bare).scheme}_proxy)"
    deadline, redirects = Deadline(timeout), _RedirectHandler(bare)
    opener = _opener(trust, deadline, redirects, login)
    request = Request(bare, headers={"User-Agent": "fer-edge", "Accept": "*/*", "Accept-Encoding": "identity"})
    deadline.restart()  # reading the authorities' certificates may have taken a while
    try:
        response = opener.open(request, timeout=timeout)
    except HTTPError as error:
        cause = status_cause(error, bool(login))
        error.close()
        raise SourceError(f"{name} cannot be opened as a stream: {cause}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        if redirects.target != bare:
            host = f"{sent_text(urlsplit(redirects.target).netloc)}, to which {host} redirects,"
        cause = failure_cause(error, host, timeout)
        raise SourceError(f"{name} cannot be opened as a stream: {cause}") from None
    assert isinstance(response, http.client.HTTPResponse)
    return HttpBody(response, name, deadline)


def _host(bare: str) -> str:
    parts = urlsplit(bare)
    return host_and_port(parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80))


def _proxy(bare: str) -> str | None:
    """The proxy that the environment names for an address, as urllib finds it."""
    parts = urlsplit(bare)
    proxy = getproxies().get(parts.scheme)
    return None if proxy is None or proxy_bypass(parts.netloc) else proxy


class _Connection(http.client.HTTPConnection):
    """With a deadline for all of it."""

    def __init__(self, *arguments: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline = deadline
        self._create_connection = self._connect

    def _connect(self, address: tuple[str, int], *_: Any) -> TimedSocket:
        return connect(*address, self._deadline)


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """Encrypted, also through a proxy."""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        host = getattr(self, "_tunnel_host", None) or self.host
        assert isinstance(self.sock, TimedSocket)
        self.sock = start_tls(self.sock, self._context, host, self._deadline)  # type: ignore[attr-defined]


class _HttpHandler(HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, deadline=self._deadline), req)


class _HttpsHandler(HTTPSHandler):
    def __init__(self, trust: Trust, deadline: Deadline) -> None:
        context = trust.context()
        super().__init__(context=context)
        self._trusted, self._deadline = context, deadline

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        connection = partial(_TlsConnection, deadline=self._deadline)
        return self.do_open(connection, req, context=self._trusted)


class _RedirectHandler(HTTPRedirectHandler):
    """Only to http and https, never from https to http, without a login, and without reading the bodies.

    Attributes:
        target: The address of the last request.
    """

    max_redirections = 5

    def __init__(self, target: str) -> None:
        self.target = target

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        to = urlsplit(newurl)
        if to.scheme not in ("http", "https") or "@" in to.netloc or (req.type == "https" and to.scheme == "http"):
            raise HTTPError(req.full_url, code, "redirected to an address that is not followed", headers, fp)
        fp.close()  # urllib would read all of it
        self.target = newurl
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(
    trust: Trust, deadline: Deadline, redirects: _RedirectHandler, login: tuple[str, str] | None
) -> OpenerDirector:
    """Urllib's opener, without its handlers for files and FTP."""
    opener = OpenerDirector()
    handlers: list[BaseHandler] = [
        ProxyHandler(),
        UnknownHandler(),
        _HttpHandler(deadline),
        _HttpsHandler(trust, deadline),
        HTTPDefaultErrorHandler(),
        redirects,
        HTTPErrorProcessor(),
    ]
    if login is not None:
        parts = urlsplit(redirects.target)
        handlers += login_handlers(f"{parts.scheme}://{parts.netloc}/", login)
    for handler in handlers:
        opener.add_handler(handler)
    return opener
