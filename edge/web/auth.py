"""Who may see the live page: the Host header, the token, and what browsers are told to refuse."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_edge.edge.web.static_files import STATIC

OPEN = frozenset(("/healthz", "/static/page.css", "/static/icon.svg"))
"""Paths that need no token: they say nothing about anybody."""

PROTECTION = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # or any web page could show a camera that listens on loopback
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

PICTURES = frozenset(("/frame.jpg", "/stream.mjpg"))
"""What other pages may show when they name it with the token: they can draw it, and not read it."""

WRONG = "This is not the token. Unless --web-token gives one, each start makes a new one."

LONGEST = 4096
"""Bytes of a form that are read before anybody is known."""

COOKIE_SECONDS = 30 * 24 * 3600

LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


class AuthMiddleware:
    """ASGI middleware. token: None where none is needed. local: only names of this machine are answered.

    A page of another site that rebinds its own name to 127.0.0.1 still says its name in the Host header.
    cookie: the name under which a browser keeps that it was let in.
    """

    def __init__(self, app: ASGIApp, token: str | None, local: bool, cookie: str) -> None:
        self._app, self._token, self._local, self._cookie = app, token, local, cookie
        self._seal = _seal(token) if token is not None else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        policy = {"Cross-Origin-Resource-Policy": "cross-origin"} if self._is_shared(scope) else {}

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(PROTECTION | policy)
            await send(message)

        refusal = await self._refusal(scope, receive)
        await (self._app if refusal is None else refusal)(scope, receive, protected)

    def _is_shared(self, scope: Scope) -> bool:
        """Whether a page of another origin may show it. A cookie does not count: it comes from other ports, too."""
        if self._token is None or scope["path"] not in PICTURES:
            return False
        return _same(QueryParams(scope["query_string"]).get("token", ""), self._token)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """What is answered in the app's place; None for who may pass."""
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        if self._local and not LOCAL.fullmatch(headers.get("host", "")):
            return PlainTextResponse("This page answers to localhost and 127.0.0.1 alone.\n", 403)
        if self._token is None or scope["path"] in OPEN:
            return None
        html = "text/html" in headers.get("accept", "")
        typed, linked = await _typed(receive) if scope["method"] == "POST" else None, query.get("token")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        sent = bearer.strip() if scheme.lower() == "bearer" else None
        given = next((token for token in (typed, linked, sent) if token is not None), None)
        if given is None:
            cookies = cookie_parser(headers.get("cookie", ""))  # as browsers do: other services set some, too
            return None if _same(cookies.get(self._cookie, ""), self._seal) else _unknown(html)
        if not _same(given, self._token):
            return _unknown(html, WRONG)
        to_browser = typed is not None or (linked is not None and html)  # a player keeps no cookie
        return self._admitted(scope["path"], query) if to_browser else None

    def _admitted(self, path: str, query: QueryParams) -> Response:
        """Off to the same address without the token, which then stands in no history and no bookmark."""
        rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
        answer = RedirectResponse(_local_path(path) + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self._cookie, self._seal, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
        return answer


def _seal(token: str) -> str:
    """What the cookie holds: made from the token, of characters that a cookie may have."""
    return hashlib.sha256(b"fer-edge cookie " + token.encode()).hexdigest()


def _same(given: str, wanted: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("utf-8", "surrogateescape"))


def _local_path(path: str) -> str:
    """A path that stays on this host: two leading slashes would name another."""
    return "/" + path.lstrip("/\\")


async def _typed(receive: Receive) -> str | None:
    """The token that the form of token.html sends; None where there is none in the request's body."""
    body, more = b"", True
    while more and len(body) < LONGEST:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return QueryParams(body[:LONGEST]).get("token")


def _unknown(html: bool, why: str = "") -> Response:
    """401, as a page with a field for the token where a browser asks for a page. why: what is wrong with the token."""
    challenge = {"WWW-Authenticate": "Bearer"}
    if html:
        page = (STATIC / "token.html").read_text("utf-8")
        return HTMLResponse(page.replace('role="alert">', f'role="alert">{why}'), 401, headers=challenge)
    return PlainTextResponse(f"{why or 'A token is needed.'} Authorization: Bearer TOKEN\n", 401, headers=challenge)
