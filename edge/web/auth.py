"""Access to the live page: Host header, token, and the security headers of each answer."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from asyncio import sleep
from collections.abc import Callable
from functools import partial
from math import ceil
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers, QueryParams
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_edge.edge.web.connections import client_network
from fer_edge.edge.web.guess_limit import ADDRESS_INTERVAL, GuessLimit
from fer_edge.edge.web.static_files import static_files
from fer_edge.edge.web.throttled_log import ThrottledLog

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
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}

NOT_EMBEDDABLE = Headers(SECURITY_HEADERS).raw
EMBEDDABLE = Headers(SECURITY_HEADERS | {"Cross-Origin-Resource-Policy": "cross-origin"}).raw
"""The headers as ASGI has them."""

PICTURE_PATHS = frozenset(("/frame.jpg", "/stream.mjpg"))
"""Pages of other origins may embed these with the token in the address: to show them, not to read them."""

WRONG_TOKEN = "This is not the token. Without --web-token, each start of fer-edge makes a new one."
TOO_MANY_TOKENS = "Too many wrong tokens came from this network. Try again in a few seconds."

ONLY_LOCAL = (
    "Without a token, this page can be opened as localhost or 127.0.0.1 only. For a proxy, start fer-edge with "
    "--web-token, or let the proxy send Host: localhost.\n"
)

STRONG_TOKEN_LENGTH, STRONG_TOKEN_VARIETY = 16, 8
"""Characters, and different ones, from which on a token cannot be guessed in years, however many attempts there are."""

MAX_FORM_BYTES = 4096
"""How much of a form is read before the client is authorized."""

COOKIE_SECONDS = 30 * 24 * 3600

LOCAL_HOST = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.IGNORECASE)


class AuthMiddleware:
    """ASGI middleware that lets authorized clients through and adds the security headers.

    Wrong tokens are answered ever later. A strong token is compared before it has to wait, so that nobody's guesses
    keep its owner out; a short one, which guesses could find, waits with them.

    Args:
        app: The live page.
        token: The token that clients must send, or None where none is needed.
        local: Whether to answer only requests for a name of this machine. A page of another site that rebinds its own
            name to 127.0.0.1 (DNS rebinding) still has that name in the Host header.
        cookie: Name of the cookie that marks an authorized browser.
    """

    def __init__(self, app: ASGIApp, token: str | None, local: bool, cookie: str) -> None:
        self._app, self._token, self._local, self._cookie = app, token, local, cookie
        self._strong = token is not None and is_strong(token)
        self._cookie_value = _cookie_value(token) if token is not None else ""
        self._guesses = GuessLimit()
        self._log = ThrottledLog(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = await self._authorize(scope, receive)
        security = EMBEDDABLE if response is None and self._is_embeddable(scope) else NOT_EMBEDDABLE
        if response is None and scope["path"] not in PUBLIC_PATHS and not scope["state"]["connection"].admit():
            response = PlainTextResponse("Too many viewers.\n", 503, headers={"Connection": "close"})

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *security]
            await send(message)

        await (self._app if response is None else response)(scope, receive, send_secured)

    def _is_embeddable(self, scope: Scope) -> bool:
        """Whether pages of other origins may embed what an authorized request gets.

        Not by the cookie, which is sent for all ports of a host.
        """
        by_link = self._token is not None and "token" in QueryParams(scope["query_string"])
        return by_link and scope["path"] in PICTURE_PATHS

    async def _authorize(self, scope: Scope, receive: Receive) -> Response | None:
        """The response to send in the app's place, or None for an authorized request."""
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        if self._local and not LOCAL_HOST.fullmatch(headers.get("host", "")):
            return PlainTextResponse(ONLY_LOCAL, 403)
        if self._token is None or scope["path"] in PUBLIC_PATHS:
            return None
        html = "text/html" in headers.get("accept", "")
        refuse = partial(_unauthorized, scope["path"] if html else None)
        form = await _form_token(receive) if scope["method"] == "POST" else None
        link = query.get("token")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        header = bearer.strip() if scheme.lower() == "bearer" else None
        token = next((token for token in (form, link, header) if token is not None), None)
        if token is None:
            return await self._check_cookies(headers, scope, refuse)
        right = _equal(token, self._token)
        if not (right and self._strong) and not await self._wait(scope, right):
            return refuse(429, TOO_MANY_TOKENS)
        if not right:
            return refuse(401, WRONG_TOKEN)
        to_browser = form is not None or (link is not None and html)  # a player keeps no cookie
        return self._redirect(scope, query) if to_browser else None

    async def _check_cookies(self, headers: Headers, scope: Scope, refuse: Callable[..., Response]) -> Response | None:
        """As `_authorize`; any right cookie will do, as several pages of one host may have set one of this name."""
        pairs = (pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
        values = [value for name, _, value in pairs if name == self._cookie]
        if any(_equal(value, self._cookie_value) for value in values):
            return None
        if values and self._strong and not await self._wait(scope):
            return refuse(429, TOO_MANY_TOKENS)
        return refuse(401)

    async def _wait(self, scope: Scope, right: bool = False) -> bool:
        """Wait as long as the client's wrong tokens cost; False if it has sent too many to be answered."""
        network = client_network(scope["client"][0] if scope["client"] else None)
        delay = self._guesses.take(network)
        if delay is None or delay > 0:
            self._log.warning(f"live page: many wrong tokens, the last from {network}")
        if delay is None:
            return False
        await sleep(delay)
        if right:
            self._guesses.give_back(network)
        return True

    def _redirect(self, scope: Scope, query: QueryParams) -> Response:
        """Set the cookie and redirect to the same address without the token, so that no history or bookmark has it.

        Address and cookie are relative, for the folder where the browser sees the page: a proxy may have it under
        another path.
        """
        rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
        last = quote(scope["path"].rpartition("/")[2], safe="")
        answer = RedirectResponse(f"./{last}" + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(
            self._cookie,
            self._cookie_value,
            max_age=COOKIE_SECONDS,
            path=None,
            httponly=True,
            secure=scope["scheme"] == "https",
            samesite="strict",
        )
        return answer


def is_strong(token: str) -> bool:
    """Whether the token is too long to be guessed."""
    return len(token) >= STRONG_TOKEN_LENGTH and len(set(token)) >= STRONG_TOKEN_VARIETY


def _cookie_value(token: str) -> str:
    """A hash of the token: it does not give the token away, and a cookie can hold its characters.

    A short token's is another one after each start. Else the cookie could be guessed instead of the token.
    """
    salt = b"" if is_strong(token) else secrets.token_bytes()
    return hashlib.sha256(salt + b"fer-edge cookie " + token.encode()).hexdigest()


def _equal(text: str, secret: str) -> bool:
    """Compare in constant time, which does not reveal how many characters are right."""
    return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), secret.encode("utf-8", "surrogateescape"))


async def _form_token(receive: Receive) -> str | None:
    """The token that the form of token.html sends, or None where the request's body has none."""
    body, more = b"", True
    while more and len(body) < MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return QueryParams(body[:MAX_FORM_BYTES]).get("token")


def _unauthorized(page: str | None, status: int, reason: str = "") -> Response:
    """A refusal: a form for the token where a browser asks for the page of a path, else a line of text."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": str(ceil(ADDRESS_INTERVAL))}
    if page is None:
        return PlainTextResponse(
            f"{reason or 'A token is needed.'} Send Authorization: Bearer TOKEN\n", status, headers
        )
    root = "../" * (page.count("/") - 1) or "./"
    html = static_files()["token.html"].decode().replace("{root}", root)
    return HTMLResponse(html.replace('role="alert">', f'role="alert">{reason}'), status, headers)
