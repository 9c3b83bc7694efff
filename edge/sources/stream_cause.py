"""Why FFmpeg could not open an address: it only says that it could not, so the server is asked once more."""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from urllib.parse import urlsplit

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.sources.address_login import split_login
from fer_edge.edge.sources.network_errors import describe_error, host_and_port, sent_text
from fer_edge.edge.sources.network_trust import Trust
from fer_edge.edge.sources.timed_socket import Deadline, TimedSocket, TimedTlsSocket, connect, start_tls

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "tcp": None, "tls": None, "https": 443, "http": 80}
"""Schemes over TCP with their default ports."""

OTHER_SCHEMES = ("udp", "rtp", "srt", "srtp", "rist", "mms", "mmsh", "mmst", "file", "ftp", "concat", "sdp", "unix")

COMMON_SCHEMES = ("rtsp", "http", "https", "rtsps", "rtmp", "udp", "srt", "tcp")

ANSWER_BYTES = 16 * 1024
"""Bytes that are read of an answer."""

RTSP_CAUSES = {
    401: "the server refuses user and password (401 Unauthorized); are user and password right?",
    403: "the server refuses access (403 Forbidden)",
    404: "the server has no stream there (404 Not Found); is the path right?",
    454: "the server has lost the session (454)",
    461: "the server does not offer RTSP over TCP (461); docs/cameras.md has the setting for UDP",
}

Connection = TimedSocket | TimedTlsSocket


def find_cause(address: str, timeout: float, trust: Trust) -> str:
    """Find out why an address could not be opened.

    Args:
        address: The address, with its password.
        timeout: Seconds for the server's answers.
        trust: Certificates that are accepted.

    Returns:
        The cause and what to do, in one line, without the password.
    """
    scheme = address.partition("://")[0].lower()
    if scheme not in PORTS:
        return _scheme_cause(scheme, timeout)
    try:
        host, port, login = _parse(address, scheme)
    except ValueError as error:
        return str(error)
    where = host_and_port(host, port)
    deadline = Deadline(timeout)
    try:
        with _connect(host, port, scheme, deadline, trust) as connection:
            if scheme in ("rtsp", "rtsps"):
                return _rtsp_cause(connection, address, where, login, deadline)
    except (OSError, UnicodeError) as error:
        return describe_error(error, where, timeout)
    return f"{where} answers, but FFmpeg found no video there in {timeout:g} s; is the path right?"


def check_certificate(address: str, timeout: float, trust: Trust) -> None:
    """Verify the certificate of an rtsps:// address.

    FFmpeg itself verifies it only against a file of authorities, and not always the name in it.

    Raises:
        SourceError: The server cannot be reached, or its certificate is refused.
    """
    try:
        host, port, _ = _parse(address, "rtsps")
    except ValueError as error:
        raise SourceError(f"{redact(address)} cannot be opened as a stream: {error}") from None
    try:
        _connect(host, port, "rtsps", Deadline(timeout), trust).close()
    except (OSError, UnicodeError) as error:
        cause = describe_error(error, host_and_port(host, port), timeout)
        raise SourceError(f"{redact(address)} cannot be opened as a stream: {cause}") from None


def _scheme_cause(scheme: str, timeout: float) -> str:
    if scheme in OTHER_SCHEMES:
        return f"FFmpeg found no video there within {timeout:g} s"
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):  # RFC 3986, 3.1
        return "it does not begin with a scheme such as rtsp://; does a blank, a quote or another scheme precede it?"
    similar = difflib.get_close_matches(scheme, COMMON_SCHEMES, 1, 0.5)
    hint = f"; did you mean {similar[0]}://?" if similar else "; expected http, https, rtsp, rtsps, rtmp, udp or srt"
    return f"{scheme[:20]}:// is not a kind of address that FFmpeg knows{hint}"


def _parse(address: str, scheme: str) -> tuple[str, int, tuple[str, str] | None]:
    """Host, port and login; a ValueError's message has no password."""
    bare, login = split_login(address)
    parts = urlsplit(bare)
    port = parts.port or PORTS[scheme]
    if port is None:
        raise ValueError(f"it has no port; give {scheme}://HOST:PORT")
    return parts.hostname or "", port, login


def _connect(host: str, port: int, scheme: str, deadline: Deadline, trust: Trust) -> Connection:
    connection = connect(host, port, deadline)
    if scheme not in ("rtsps", "rtmps", "https", "tls"):
        return connection
    try:
        return start_tls(connection, trust.context(), host, deadline)
    except BaseException:
        connection.close()
        raise


def _rtsp_cause(
    connection: Connection, address: str, where: str, login: tuple[str, str] | None, deadline: Deadline
) -> str:
    """Send DESCRIBE (RFC 2326, 10.2), with the login where it is wanted, and read the status."""
    target = split_login(address)[0]
    answer = _describe(connection, target, 1, "", deadline)
    if not answer:
        return f"{where} closed the connection without an answer; are protocol and port right?"
    status = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)", answer)
    if status is None:
        said = sent_text(answer.partition("\n")[0], 30)
        return f"{where} does not speak RTSP{f' (it answers {said!r})' if said else ''}; are protocol and port right?"
    code = int(status[1])
    if code == 401 and login is None:
        return "the server wants a user and a password (401 Unauthorized); give rtsp://USER:PASSWORD@HOST/…"
    if code == 401 and login is not None:
        header = _authorization(answer, target, login)
        if header is None:
            return "the server wants a login other than Basic and Digest"
        answer = _describe(connection, target, 2, header, deadline)
        status = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)", answer)
        code = int(status[1]) if status else 401
    if code == 200:
        return "the server answers, but FFmpeg gets no video from it; a codec it cannot decode, or UDP only?"
    reason = sent_text(status[2], 30) if status else ""
    return RTSP_CAUSES.get(code, f"the server answers {f'{code} {reason}'.strip()}")


def _describe(connection: Connection, target: str, number: int, header: str, deadline: Deadline) -> str:
    """The head of the answer; "" where the connection was closed."""
    lines = [
        f"DESCRIBE {target} RTSP/1.0",
        f"CSeq: {number}",
        "Accept: application/sdp",
        "User-Agent: fer-edge",
        header,
    ]
    clean = [re.sub("[^ -~]", "?", line) for line in lines if line]  # no address may add lines of its own
    connection.settimeout(deadline.remaining())
    connection.sendall("\r\n".join([*clean, "\r\n"]).encode())
    answer, buffer = b"", bytearray(4096)
    while b"\r\n\r\n" not in answer and len(answer) < ANSWER_BYTES:
        count = connection.recv_into(buffer)
        if count == 0:
            break
        answer += buffer[:count]
        if not b"RTSP/".startswith(answer[:5]) and not answer.startswith(b"RTSP/"):
            break
    return answer.decode("latin-1")


def _authorization(answer: str, target: str, login: tuple[str, str]) -> str | None:
    """The header that answers a challenge (RFC 2617); None where it is neither Basic nor Digest."""
    user, password = login
    challenge = re.search(r"(?im)^WWW-Authenticate:\s*Digest\s+(.*)$", answer)
    if challenge is not None:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge[1]))
        realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
        secret, request = _md5(f"{user}:{realm}:{password}"), _md5(f"DESCRIBE:{target}")
        response = _md5(f"{secret}:{nonce}:{request}")
        return (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}", '
            f'response="{response}"'
        )
    if re.search(r"(?im)^WWW-Authenticate:\s*Basic\b", answer):
        return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
