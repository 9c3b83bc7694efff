"""A stream that cannot be opened: the cause in one line, without passwords; certificates that are refused."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from network_camera import free_port, serving
from scripted_server import Answer, http, multipart, pictures, scripted
from waiting import LIMIT

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions

CHALLENGE = 'WWW-Authenticate: {} realm="camera"\r\n'


def failure(address: str, timeout: float = LIMIT, **options: object) -> str:
    """The error of an address, which is one line and has no password."""
    with pytest.raises(SourceError) as error:
        open_source(SourceOptions(source=address, frame_timeout=timeout, **options))  # type: ignore[arg-type]
    text = str(error.value)
    assert "\n" not in text
    assert "S3CRET" not in text
    return text


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (http(b"", status="401 Unauthorized", more=CHALLENGE.format("Basic")), "refuses user and password"),
        (http(b"", status="401 Unauthorized", more="WWW-Authenticate: Basic realm=x\r\n"), "refuses user and password"),
        (
            http(b"", status="401 Unauthorized", more='WWW-Authenticate: Digest realm="x", nonce="1", qop="auth"\r\n'),
            "refuses user and password",
        ),
        (http(b"", status="401 Unauthorized", more=CHALLENGE.format("Bearer")), "other than Basic and Digest"),
        (http(b"", status="403 Forbidden"), "refuses access"),
        (http(b"", status="404 Not Found"), "is the path right"),
        (http(b"", status="500 Internal Server Error"), "500 Internal Server Error"),
        (http(b"", status="503 \x1b[31mBusy\x07"), r"503 \[31mBusy$"),
        (http(b"", status="302 Found", more="Location: /x\r\n"), "redirects in a loop"),
        (http(b"", status="302 Found", more="Location: file:///etc/passwd\r\n"), "address that is not followed"),
        (http(b"", status="302 Found", more="Location: http://me:S3CRET@camera/\r\n"), "address that is not followed"),
        (
            http(b"", status="302 Found", more="Location: http://127.0.0.1:1/\r\n"),
            "127.0.0.1:1, to which .* refuses",
        ),
        (http(b"", status="302 Found", more="Location: http://127.0.0.1:999999/\r\n"), "127.0.0.1:999999, to which"),
        (b"", "closed the connection without an answer"),
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "does not speak HTTP .*RTSP/1.0"),
        (b"ICY 200 OK\r\n\r\n", "does not speak HTTP .*ICY 200"),
        (b"\xff\xd8\xff", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 70000, "does not answer as HTTP requires"),
    ],
)
def test_the_cause_of_an_http_failure(answer: Answer, cause: str, capfd: pytest.CaptureFixture[str]) -> None:
    with scripted(answer) as server:
        assert re.search(cause, failure(f"http://me:S3CRET@127.0.0.1:{server.port}/x?token=S3CRET"))
    assert capfd.readouterr().err == ""


@pytest.mark.faults
def test_without_a_login_the_cause_is_that_one_is_wanted() -> None:
    unauthorized = http(b"", status="401 Unauthorized", more=CHALLENGE.format("Basic"))
    with scripted(unauthorized) as server:
        assert "wants a user and a password" in failure(f"http://127.0.0.1:{server.port}/")
    with scripted(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n" + CHALLENGE.format("Basic").encode() + b"\r\n") as server:
        assert "wants a user and a password" in failure(f"rtsp://127.0.0.1:{server.port}/", 5)


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (CHALLENGE.format("Basic"), base64.b64encode(b"me:my p@ss!#1").decode()),
        ('WWW-Authenticate: Digest realm="x", nonce="n", qop="auth", algorithm=MD5\r\n', 'Digest username="me"'),
        ('WWW-Authenticate: Digest realm="x", nonce="n", qop="auth-int, auth"\r\n', 'Digest username="me"'),
        (f'WWW-Authenticate: Bearer\r\n{CHALLENGE.format("Digest")[:-2]}, nonce="n"\r\n', 'Digest username="me"'),
    ],
)
def test_a_password_of_any_characters_is_used_for_http(challenge: str, expected: str) -> None:
    def answer(request: str) -> bytes | Iterator[bytes]:
        if expected not in request:
            return http(b"", status="401 Unauthorized", more=challenge)
        return multipart(pictures(3))

    with scripted(answer) as server:
        address = f"http://me:my p@ss!%231@127.0.0.1:{server.port}/live view?a=b c"
        with open_source(SourceOptions(source=address, frame_timeout=LIMIT, reconnect_timeout=0)) as source:
            assert list(source)[-1].index == 2
        assert server.requests[0].startswith("GET /live%20view?a=b%20c HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("algorithms", "expected"),
    [
        (["md5"], hashlib.md5),
        (["SHA-256", "MD5"], hashlib.sha256),
        (["SHA-512-256", "MD5"], hashlib.md5),
    ],
)
def test_digest_has_the_bytes_of_utf8(algorithms: list[str], expected: Callable[[bytes], Any]) -> None:
    """RFC 7616 without qop: H(H(user:realm:password):nonce:H(method:path))."""
    more = "".join(f'WWW-Authenticate: Digest realm="ré", nonce="n", algorithm={each}\r\n' for each in algorithms)
    answers = [http(b"", status="401 Unauthorized", more=more), lambda _: multipart(pictures(2))]
    with scripted(*answers) as server:
        address = f"http://mé:Zürich€@127.0.0.1:{server.port}/x"
        with open_source(SourceOptions(source=address, frame_timeout=LIMIT)) as source:
            assert next(iter(source)).size == (320, 240)
        secret, request = (expected(text.encode()).hexdigest() for text in ("mé:ré:Zürich€", "GET:/x"))
        assert expected(f"{secret}:n:{request}".encode()).hexdigest() in server.requests[1]


@pytest.mark.faults
@pytest.mark.parametrize("challenge", ['Digest realm="x", nonce="1", qop="auth"', 'Basic realm="x"'])
def test_a_wrong_password_is_sent_once(challenge: str) -> None:
    """Cameras lock out whoever fails a few times."""
    with scripted(http(b"", status="401 Unauthorized", more=f"WWW-Authenticate: {challenge}\r\n")) as server:
        assert "refuses user and password" in failure(f"http://me:S3CRET@127.0.0.1:{server.port}/")
        assert sum("Authorization: " in request for request in server.requests) == 1


@pytest.mark.faults
def test_a_redirect_whose_body_never_ends_takes_no_memory() -> None:
    def endless(_: str) -> Iterator[bytes]:
        yield http(b"", status="302 Found", length=False, more="Location: http://127.0.0.1:1/\r\n")
        while True:
            sent.append(len(chunk))
            yield chunk

    sent: list[int] = []
    chunk = bytes(1 << 20)
    with scripted(endless) as server:
        assert "127.0.0.1:1, to which" in failure(f"http://127.0.0.1:{server.port}/")
    assert sum(sent) < 100 << 20  # what the kernel buffers


@pytest.mark.faults
@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtsps", "rtmp"])
def test_the_cause_where_nothing_answers(scheme: str) -> None:
    refused = failure(f"{scheme}://me:S3CRET@127.0.0.1:{free_port()}/x", 5)
    assert "refuses the connection" in refused
    assert "name in no-such-camera.invalid" in failure(f"{scheme}://me:S3CRET@no-such-camera.invalid/x", 5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = failure(f"{scheme}://me:S3CRET@127.0.0.1:{silent.getsockname()[1]}/x", 0.5)
        assert "0.5 s" in said


@pytest.mark.faults
def test_name_servers_that_do_not_answer_cost_no_more_than_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(LIMIT) and [])
    try:
        assert "the name in camera:80 is unknown" in failure("http://me:S3CRET@camera/x", 0.5)
    finally:
        ended.set()


def test_a_name_with_several_addresses_is_tried_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (2, 1)]
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: found if host == "camera" else look_up(host, *a, **k)
    )
    with scripted(lambda _: multipart(pictures(2))) as server:
        address = f"http://camera:{server.port}/"
        with open_source(SourceOptions(source=address, frame_timeout=LIMIT)) as source:
            assert next(iter(source)).size == (320, 240)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("rstp://camera/1", "did you mean rtsp://"),
        ("htttp://camera/1", "did you mean http://"),
        (" http://me:S3CRET@camera/1", "a blank, a quote"),
        ('"rtsp://me:S3CRET@camera/1"', "a blank, a quote"),
        ("cache:http://me:S3CRET@camera/1", "another scheme"),
        ("xyz://me:S3CRET@camera/1", "expected http, https, rtsp"),
        ("http:///x", "no host"),
        ("http://a..b/", "not a valid host name"),
        ("http://me:S3CRET@camera:99999/", "host or port is not valid"),
        ("http://me:S3CRET/1@camera/", "write / as %2F"),
        ("http://me:S3CRET#1@camera/", "# as %23"),
        ("rtsp://me:S3CRET?1@camera/", r"\? as %3F"),
        ("rtsp://me:S3CRET", "host or port is not valid"),
        ("rtsp://me%3AS3CRET%40camera/", "its host has a %"),
        ("http://[::1/", "host or port is not valid"),
        ("tcp://127.0.0.1/", "it has no port"),
        ("http://127.0.0.1:0/", "host or port is not valid"),
        ("http://camera/\udcff", "not valid UTF-8"),
        ("rtsp://camera\udcff/1", "not valid UTF-8"),
        ("http://camera\0/", "cannot be opened as a stream"),
        ("rtsp://127.0.0.1:9/\r\nX: y", "refuses the connection"),
    ],
)
def test_the_cause_of_a_mistyped_address(address: str, cause: str) -> None:
    assert re.search(cause, failure(address, 3))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n", "no stream there .*is the path right"),
        (b"RTSP/1.0 403 Forbidden\r\nCSeq: 1\r\n\r\n", "refuses access"),
        (b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 1\r\n\r\n", "UDP"),
        (b"RTSP/1.0 503 Service Unavailable\r\nCSeq: 1\r\n\r\n", "503 Service Unavailable"),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n", "FFmpeg gets no video"),
        (http(b"hello"), "does not speak RTSP .*HTTP/1.1 200 OK"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak RTSP .*SSH-2.0"),
        (b"", "closed the connection without an answer"),
    ],
)
def test_the_cause_of_an_rtsp_failure(answer: Answer, cause: str, capfd: pytest.CaptureFixture[str]) -> None:
    with scripted(answer) as server:
        assert re.search(cause, failure(f"rtsp://me:S3CRET@127.0.0.1:{server.port}/x", 3))
    assert capfd.readouterr().err == ""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ('Digest realm="camera", nonce="n1"', 'Authorization: Digest username="me", realm="camera", nonce="n1"'),
        ('Basic realm="camera"', "Authorization: Basic bWU6UzNDUkVU"),
    ],
)
def test_the_login_is_used_to_find_the_cause(challenge: str, expected: str) -> None:
    """The path is wrong, and the server says so only to those who may know."""

    def answer(request: str) -> bytes:
        if expected in request:
            return b"RTSP/1.0 404 Not Found\r\nCSeq: 2\r\n\r\n"
        return f"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: {challenge}\r\n\r\n".encode()

    with scripted(answer) as server:
        assert "404 Not Found" in failure(f"rtsp://me:S3CRET@127.0.0.1:{server.port}/a@b%0d%0ab\r\nX: y", 5)
        assert "DESCRIBE rtsp://127.0.0.1:" in server.requests[-1] and "/a@b" in server.requests[-1]
        assert not any("\nX:" in request for request in server.requests if "User-Agent: fer-edge" in request)


@pytest.mark.faults
@pytest.mark.system
def test_the_cause_at_a_real_rtsp_server() -> None:
    with serving("rtsp", free_port(), "maker:S3CRET") as address:
        with_login = address.replace("//", "//maker:S3CRET@")
        assert "404 Not Found" in failure(with_login.replace("live", "another"), 30)
        assert "are user and password right" in failure(address.replace("//", "//maker:wr0ng!@"), 30)
        assert "wants a user and a password" in failure(address, 30)


@pytest.mark.faults
def test_the_cause_is_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = free_port()
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:S3CRET@127.0.0.1:{dead}")
        said = failure(f"{scheme}://10.1.2.3/x")
        assert f"the proxy http://127.0.0.1:{dead} (from {scheme}_proxy) refuses the connection" in said
    monkeypatch.setenv("http_proxy", "/")
    assert "the proxy / (from http_proxy): proxy URL with no authority" in failure("http://10.1.2.3/x")
    with scripted(http(b"", status="407 Proxy Authentication Required")) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")
        assert "the proxy wants a user" in failure("http://10.1.2.3/x")
        assert "407 Proxy Authentication Required" in failure("https://10.1.2.3/x")


def test_a_proxy_is_used_and_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(multipart(pictures(2))) as proxy, scripted(multipart(pictures(2))) as camera:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for address in ("http://10.1.2.3/x", f"http://127.0.0.1:{camera.port}/x"):
            with open_source(SourceOptions(source=address, frame_timeout=LIMIT)) as source:
                assert next(iter(source)).size == (320, 240)
        assert [len(proxy.requests), len(camera.requests)] == [1, 1]


# certificates


@pytest.fixture
def certificate(certificates: Path) -> tuple[Path, Path]:
    return certificates / "server.pem", certificates / "server.key"


def answers() -> Callable[[str], bytes]:
    return lambda _: b"".join(multipart(pictures(2)))


@pytest.mark.faults
def test_a_certificate_that_is_not_trusted_is_refused(certificates: Path, certificate: tuple[Path, Path]) -> None:
    with scripted(answers(), certificate=certificate) as server:
        for scheme in ("https", "rtsps"):
            address = f"{scheme}://me:S3CRET@127.0.0.1:{server.port}/"
            for ca in (None, certificates / "another.pem"):
                said = failure(address, source_ca=ca)
                assert "certificate is refused" in said and "--source-ca" in said and "--source-insecure" in said
            other = failure(address.replace("127.0.0.1", "localhost"), source_ca=certificates / "ca.pem")
            assert "'localhost'" in other and "use the name that it was issued for" in other
        assert server.requests == []  # neither the password nor anything else was sent


@pytest.mark.faults
@pytest.mark.parametrize("insecure", [False, True])
def test_a_certificate_is_accepted_where_its_authority_is_given_or_any_will_do(
    certificates: Path, certificate: tuple[Path, Path], insecure: bool
) -> None:
    ca = None if insecure else certificates / "ca.pem"
    with scripted(answers(), certificate=certificate) as server:
        address = f"https://127.0.0.1:{server.port}/"
        options = SourceOptions(source=address, frame_timeout=LIMIT, source_ca=ca, source_insecure=insecure)
        with open_source(options) as source:
            assert next(iter(source)).size == (320, 240)


@pytest.mark.faults
@pytest.mark.parametrize("trusted", [False, True])
def test_the_certificate_of_a_recording_is_verified(
    certificates: Path, certificate: tuple[Path, Path], clip: Path, trusted: bool
) -> None:
    """A recording over https, which FFmpeg requests a second time."""
    ca = certificates / ("ca.pem" if trusted else "another.pem")
    with scripted(http(clip.read_bytes(), "video/mp4"), certificate=certificate) as server:
        address = f"https://127.0.0.1:{server.port}/clip.mp4"
        if trusted:
            with open_source(SourceOptions(source=address, frame_timeout=30, source_ca=ca)) as source:
                assert not source.live
                assert len(list(source)) == 20
        else:
            failure(address, source_ca=ca)


@pytest.mark.faults
def test_tls_where_there_is_none_is_said(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with scripted(lambda _: b"", certificate=certificate) as server:
        assert re.search("protocol and port right", failure(f"http://127.0.0.1:{server.port}/"))
    with serving("http", free_port()) as address:
        assert "does not speak TLS" in failure(address.replace("http", "https"))
    os.mkfifo(tmp_path / "pipe.pem")
    for ca, reason in (
        (tmp_path / "pipe.pem", "not a file"),
        (tmp_path, "not a file"),
        (tmp_path / "none.pem", "No such file"),
        (Path(__file__), "not a certificate in PEM format"),
    ):
        said = failure("https://127.0.0.1:9/", source_ca=ca)
        assert f"--source-ca {ca}: {reason}" in said
