"""No address shows its credentials, however they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fer_edge.edge.errors import redact, redact_text

SECRETS = st.text(min_size=1, max_size=12)
"""Passwords and tokens of any characters: blanks, line breaks, @, /, ?, #, %, :, !, quotes, = …"""

SHOWN = re.compile(r"rtsp://(…|user:…|c:554/1(\?…)?)")


@pytest.mark.faults
@given(SECRETS)
@example("my pass")
@example("pass!")
@example("Pass#1")
@example("a@b/c?d")
@example("x=y&password=z")
@example("://@")
def test_no_part_of_a_password_is_shown(secret: str) -> None:
    """The output is one of few, whatever the password is; it cannot hold a part of it."""
    for address in (f"rtsp://user:{secret}@c:554/1", f"rtsp://user:{secret}@c:554/1?{secret}"):
        assert SHOWN.fullmatch(redact(address)), redact(address)
    assert redact(f"user:{secret}@c:554/1") in ("c:554/1", "…", "user:…")
    for address in (f"rtsp://:{secret}@c:554/1", f"rtsp://{secret}@c:554/1"):  # no user; a token in its place
        if not re.search("(?i)user|usr|login|pass|pwd|pw|token|key|auth|secret|sig|cred|session", secret):
            assert SHOWN.fullmatch(redact(address)), redact(address)


@pytest.mark.faults
@given(SECRETS)
@example("a@b")
@example("my pass!")
def test_no_part_of_a_token_is_shown(secret: str) -> None:
    for address in (
        f"http://camera/x?token={secret}",
        f"http://camera/x?{secret}",
        f"http://camera/x?user=me&password={secret}",
        f"http://camera/x#{secret}",
    ):
        assert redact(address) in ("http://camera/x?…", "http://…"), redact(address)
    shown = redact(f"http://camera/user=me_password={secret}_channel=1.sdp")
    assert shown == "http://camera/user=…"


@pytest.mark.faults
@given(SECRETS)
@example("my pass ! appsink")
@example("a@b")
def test_no_part_of_a_password_in_a_pipeline_is_shown(secret: str) -> None:
    for pipeline in (
        f"gst:rtspsrc user-pw={secret} location=rtsp://c/1 ! appsink",
        f'gst:rtspsrc user-pw="{secret}" location=rtsp://c/1 ! appsink',
    ):
        assert redact(pipeline) in ("gst:rtspsrc user-pw=…", "gst:…")
    shown = redact(f"rtspsrc location=rtsp://me:{secret}@c/1 user-id=me user-pw={secret} ! appsink")
    assert re.fullmatch(r"rtspsrc location=rtsp://(…|me:…|c/1 user-id=…)", shown), shown


@pytest.mark.faults
def test_a_password_without_a_host_is_no_port() -> None:
    """As when `@host` was forgotten, or a blank or a slash in the password ends the host for others."""
    assert redact("rtsp://me%3AS3CRET%40camera/a%40b") == "rtsp://camera/a%40b"
    assert redact("rtsp://admin:my pass") == redact("rtsp://admin:mypass/1") == "rtsp://admin:…"


@pytest.mark.faults
@pytest.mark.parametrize(
    "option",
    ["--source", "--jsonl", "--csv", "--save-video", "--save-picture", "--snapshot-dir", "--mqtt", "--web", "--camera"],
)
def test_no_mistake_shows_a_password(mistake: Callable[..., str], clip: Path, option: str) -> None:
    """An address where it belongs, mistyped, and where it does not."""
    for address in (
        "rtsp://me:S3 CRET!@127.0.0.1:9/1",
        "http://me:S3CRET@[::1:9/x",
        "http://127.0.0.1:9/?token=S3CRET",
    ):
        source = () if option in ("--source", "--camera") else ("--source", clip)
        assert "S3" not in mistake("run", "--show", "none", *source, option, address)


@pytest.mark.faults
@pytest.mark.parametrize(
    "address", ["rtsp://me:S3CRET@camera/1", "http://camera/?token=S3CRET", "rtsp://me:S3 CRET@c/"]
)
@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        (),
        ("config",),
        ("cameras",),
        ("run", "--fps"),
        ("run", "--mirror=yes"),
        ("run", "--save-video-segment"),
        ("models", "show"),
        ("data", "info"),
        ("--config",),
        ("run", "--source", "https://127.0.0.1:9/", "--source-ca"),
    ],
)
def test_an_address_in_the_wrong_place_shows_no_password(
    mistake: Callable[..., str], words: tuple[str, ...], address: str
) -> None:
    line = mistake(*words, address, *(("run",) if words == ("--config",) else ()))
    assert "S3" not in line


@pytest.mark.faults
def test_a_password_that_the_shell_has_split_is_not_shown(mistake: Callable[..., str]) -> None:
    assert "CRET" not in mistake("run", "--source", "rtsp://me:S3", "CRET@camera/1")


@pytest.mark.parametrize(
    "plain",
    [
        "http://h/x?… cannot be opened: the server wants a password (401); give http://USER:PASSWORD@HOST/…",
        "--mqtt 'mqtt://': it has no host; expected mqtt[s]://[user[:password]@]host[:port]/prefix",
        "me@home.jpg: no such file",
        "rstp:// is not a kind of address that FFmpeg knows; did you mean rtsp://?",
    ],
)
def test_advice_and_names_in_an_error_stay_as_they_are(plain: str) -> None:
    assert redact_text(plain) == plain


@pytest.mark.parametrize(
    "plain",
    [
        "rtsp://camera:554/live",
        "http://[fe80::1]:8080/video.mjpg",
        "rtsp://camera:/live",
        "v4l2src device=/dev/video0 ! appsink",
        "gst:udpsrc uri=udp://239.1.1.1:5000 ! decodebin",
        "/videos/12:30 at the door.mp4",
    ],
)
def test_an_address_without_secrets_is_shown_as_it_is(plain: str) -> None:
    assert redact(plain) == plain
