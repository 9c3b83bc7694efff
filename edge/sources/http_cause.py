"""Why an HTTP request failed, in a few words that say what to do."""

from __future__ import annotations

import http.client
from urllib.error import HTTPError, URLError

from fer_edge.edge.sources.network_errors import describe_error, sent_text

STATUS_CAUSES = {
    403: "the server refuses access (403 Forbidden)",
    404: "the server has nothing there (404 Not Found); is the path right?",
    407: "the proxy wants a user and a password (407)",
}


def status_cause(error: HTTPError, has_login: bool) -> str:
    """Describe an answer that is not 200.

    Args:
        error: What urllib raised.
        has_login: Whether the address has a user and a password.
    """
    if error.code == 401 and has_login:
        return "the server refuses user and password (401 Unauthorized); are user and password right?"
    if error.code == 401:
        return "the server wants a user and a password (401 Unauthorized); give http://USER:PASSWORD@HOST/…"
    if 300 <= error.code < 400:
        loop = "loop" in str(error.msg)
        why = "in a loop" if loop else "to an address that is not followed"
        return f"the server redirects {why} ({error.code})"
    status = f"{error.code} {sent_text(str(error.msg))}".strip()
    return STATUS_CAUSES.get(error.code, f"the server answers {status}")


def failure_cause(error: BaseException, host: str, timeout: float) -> str:
    """Describe why there is no answer.

    Args:
        error: What urllib or http.client raised.
        host: The host or proxy that was connected to, for the message.
        timeout: Seconds that it had.
    """
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, http.client.RemoteDisconnected | http.client.IncompleteRead):
        return f"{host} closed the connection without an answer; are protocol and port right?"
    if isinstance(reason, http.client.BadStatusLine):
        said = sent_text(str(reason).strip("'\""), 30)
        return f"{host} does not speak HTTP{f' (it answers {said!r})' if said else ''}; are protocol and port right?"
    if isinstance(reason, http.client.HTTPException):
        return f"{host} does not answer as HTTP requires ({type(reason).__name__})"
    if isinstance(reason, OSError) and "Tunnel connection failed" in str(reason):
        return f"{host} refuses: {sent_text(str(reason))}"
    if isinstance(reason, ValueError) and "AuthHandler" in str(reason):  # urllib's, for an unknown scheme
        return f"{host} wants a login other than Basic and Digest"
    if isinstance(reason, str):
        return f"{host}: {sent_text(reason)}"
    return describe_error(reason, host, timeout)
