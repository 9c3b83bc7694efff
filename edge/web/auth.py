"""Access to the live page: Host header, token, and the security headers of each answer."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import urlencode

from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_edge.edge.web.static_files import STATIC

PUBLIC_PATHS = frozenset(("/healthz", "/static/page.css", "/static/icon.svg"))
"""Paths that need no token: they contain nothing about anybody."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # or any web page could show a camera that listens on loopback
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

NOT_EMBEDDABLE = Headers(SECURITY_HEADERS).raw
EMBEDDABLE = Headers(SECURITY_HEADERS | {"Cross-Origin-Resource-Policy": "cross-origin"}).raw
"""The headers as ASGI has them."""

PICTURE_PATHS = frozenset(("/frame.jpg", "/stream.mjpg"))
"""Pages of other origins may embed these with the token in the address: to show them, not to read them."""

WRONG_TOKEN = "This is not the token. Without --web-token, each start of fer-edge makes a new one."

MAX_FORM_BYTES = 4096
"""How much of a form is read before the client is authorized."""

COOKIE_SECONDS = 30 * 24 * 3600

LOCAL_HOST = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


class AuthMiddleware:
    """ASGI middleware that lets authorized clients through and adds the security headers.

    Args:
        app: The live page.
        token: The token that clients must send, or None where none is needed.
        local: Whether to answer only requests for a name of this machine. A page of another site that rebinds its own
            name to 127.0.0.1 (DNS rebinding) still has that name in the Host header.
        cookie: Name of the cookie that marks an authorized browser.
    """

    def __init__(self, app: ASGIApp, token: str | None, local: bool, cookie: str) -> None:
        self._app, self._token, self._local, self._cookie = app, token, local, cookie
        self._cookie_value = _cookie_value(token) if token is not None else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        security = EMBEDDABLE if self._is_embeddable(scope) else NOT_EMBEDDABLE

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *security]
            await send(message)

        response = await self._authorize(scope, receive)
        await (self._app if response is None else response)(scope, receive, send_secured)

    def _is_embeddable(self, scope: Scope) -> bool:
        """Whether pages of other origins may embed it; not by the cookie, which is sent for all ports of a host."""
        if self._token is None or scope["path"] not in PICTURE_PATHS:
            return False
        return _equal(QueryParams(scope["query_string"]).get("token", ""), self._token)

    async def _authorize(self, scope: Scope, receive: Receive) -> Response | None:
        """The response to send in the app's place, or None for an authorized request."""
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        if self._local and not LOCAL_HOST.fullmatch(headers.get("host", "")):
            return PlainTextResponse("This page can be opened as localhost or 127.0.0.1 only.\n", 403)
        if self._token is None or scope["path"] in PUBLIC_PATHS:
            return None
        html = "text/html" in headers.get("accept", "")
        form = await _form_token(receive) if scope["method"] == "POST" else None
        link = query.get("token")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        header = bearer.strip() if scheme.lower() == "bearer" else None
        token = next((token for token in (form, link, header) if token is not None), None)
        if token is None:
            cookies = cookie_parser(headers.get("cookie", ""))  # lenient, as browsers are: other services set some, too
            return None if _equal(cookies.get(self._cookie, ""), self._cookie_value) else _unauthorized(html)
        if not _equal(token, self._token):
            return _unauthorized(html, WRONG_TOKEN)
        to_browser = form is not None or (link is not None and html)  # a player keeps no cookie
        return self._redirect(scope["path"], query) if to_browser else None

    def _redirect(self, path: str, query: QueryParams) -> Response:
        """Set the cookie and redirect to the same address without the token, so that no history or bookmark has it."""
        rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
        answer = RedirectResponse(_local_path(path) + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self._cookie, self._cookie_value, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
        return answer


def _cookie_value(token: str) -> str:
    """A hash of the token: it does not give the token away, and a cookie can hold its characters."""
    return hashlib.sha256(b"fer-edge cookie " + token.encode()).hexdigest()


def _equal(text: str, secret: str) -> bool:
    """Compare in constant time, which does not reveal how many characters are right."""
    return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), secret.encode("utf-8", "surrogateescape"))


def _local_path(path: str) -> str:
    """The path with one leading slash: two would name another host."""
    return "/" + path.lstrip("/\\")


async def _form_token(receive: Receive) -> str | None:
    """The token that the form of token.html sends, or None where the request's body has none."""
    body, more = b"", True
    while more and len(body) < MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return QueryParams(body[:MAX_FORM_BYTES]).get("token")


def _unauthorized(html: bool, reason: str = "") -> Response:
    """A 401 response: a form for the token where a browser asks for a page, else a line of text."""
    challenge = {"WWW-Authenticate": "Bearer"}
    if html:
        page = (STATIC / "token.html").read_text("utf-8")
        return HTMLResponse(page.replace('role="alert">', f'role="alert">{reason}'), 401, headers=challenge)
    return PlainTextResponse(
        f"{reason or 'A token is needed.'} Send Authorization: Bearer TOKEN\n", 401, headers=challenge
    )
