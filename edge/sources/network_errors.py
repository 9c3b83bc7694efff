"""What went wrong on the network, in a few words that say what to do."""

from __future__ import annotations

import os
import re
import socket
import ssl


def describe_error(error: BaseException, host: str, timeout: float) -> str:
    """Describe why a connection could not be made or used.

    Args:
        error: What the socket, ssl or an HTTP client raised.
        host: The host and port that were connected to, for the message.
        timeout: Seconds that it had.

    Returns:
        The cause, to follow "cannot be opened: ".
    """
    if isinstance(error, TimeoutError):
        return f"{host} did not answer in {timeout:g} s"
    if isinstance(error, socket.gaierror):
        return f"the name in {host} is unknown; is it spelled right, and the network up?"
    if isinstance(error, UnicodeError):
        return f"{host} is not a valid host name"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({error.verify_message}); {_certificate_advice(error.verify_code)}"
    if isinstance(error, ssl.SSLError):
        return f"{host} does not speak TLS, or an old version of it ({_ssl_reason(error)}); is the port right?"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses the connection; are address and port right, and is it running?"
    if isinstance(error, ConnectionResetError | BrokenPipeError | EOFError):
        return f"{host} closed the connection without an answer; are protocol and port right?"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{host}: {os.strerror(error.errno) if error.errno > 0 else error.strerror}"
    return f"{host}: {sent_text(str(error)) or type(error).__name__}"


def _certificate_advice(code: int) -> str:
    # OpenSSL's X509_V_ERR_ codes: 18 to 21, no trusted authority has signed it; 62 and 64, it is for another name
    if code in range(18, 22):
        return "give it or its authority's as --source-ca, or accept any with --source-insecure"
    if code in (62, 64):
        return "use the name that it was issued for, or accept any with --source-insecure"
    return "renew it, check this device's clock, or accept any with --source-insecure"


def _ssl_reason(error: ssl.SSLError) -> str:
    return (error.reason or "connection closed").lower().replace("_", " ")


def sent_text(text: str, limit: int = 60) -> str:
    """What a server sent, for a log: printable ASCII on one line, cut at `limit` characters."""
    return re.sub(r"[^ -~]+", " ", text).strip()[:limit]


def host_and_port(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
