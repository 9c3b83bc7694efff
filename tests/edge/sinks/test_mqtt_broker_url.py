"""The broker's URL, and the camera's name there."""

from __future__ import annotations

import socket
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.mqtt.broker_url import (
    DEFAULT_PREFIX,
    NAME,
    BrokerUrl,
    checked_discovery_prefix,
    checked_name,
    default_name,
    parse_broker_url,
)

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
levels = st.text(st.characters(codec="utf-8", exclude_characters="+#/", exclude_categories=["Cc"]), min_size=1)
hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5})?", fullmatch=True) | st.just("fe80::1")


@pytest.mark.slow
@given(
    hosts,
    st.none() | st.integers(1, 65535),
    st.lists(levels, max_size=3).map("/".join).filter(lambda text: not text.startswith("$") and len(text) < 50),
    st.booleans(),
    st.none() | st.tuples(names, st.none() | st.text(st.characters(codec="utf-8"), max_size=20)),
)
def test_a_url_is_parsed_as_it_was_written(
    host: str, port: int | None, prefix: str, tls: bool, who: tuple[str, str | None] | None
) -> None:
    scheme = "mqtts" if tls else "mqtt"
    login = "" if who is None else quote(who[0], safe="")
    if who is not None and who[1] is not None:
        login += ":" + quote(who[1], safe="")
    text = f"{scheme}://{login}{'@' if login else ''}{f'[{host}]' if ':' in host else host}"
    text += ("" if port is None else f":{port}") + (f"/{quote(prefix)}" if prefix else "")
    user, password = who or (None, None)
    expected = BrokerUrl(host, port or (8883 if tls else 1883), prefix or DEFAULT_PREFIX, tls, user, password)
    assert parse_broker_url(text, {}) == expected


@given(st.text(max_size=60) | st.builds("mqtt{}://{}".format, st.sampled_from(["", "s"]), st.text(max_size=60)))
def test_anything_else_is_an_error(text: str) -> None:
    try:
        url = parse_broker_url(text, {})
    except SinkError:
        return
    assert 0 < url.port < 65536
    assert not set("+#") & set(url.prefix)
    url.host.encode("idna")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost", "does not begin with mqtt://"),
        ("http://localhost/", "does not begin with mqtt://"),
        ("mqtt://", "has no host"),
        ("mqtt:///prefix", "has no host"),
        ("mqtt://me%3As3cret%40host/", "its host has a %"),
        ("mqtt://host:70000/", "[Pp]ort"),
        ("mqtt://host:0/", "port"),
        ("mqtt://user:s3cret", "port"),
        ("mqtt://user:s3 cret@host/", "a space"),
        ("mqtt://user:s3/cret@host/", "port"),
        ("mqtt://host:x/", "[Pp]ort"),
        ("mqtt://a..b/", "not a valid host name"),
        ("mqtt://[::1/", "Invalid IPv6"),
        ("mqtt://host/a/+/b", r"prefix contains \+"),
        ("mqtt://host/%23", r"prefix contains \+, #"),
        ("mqtt://host/$SYS", "begins with"),
        ("mqtt://host/x?ca=y", r"contains \? or #"),
        ("mqtt://:s3cret@host/", "a password but no user"),
        ("mqtt://user:s3cret@host:bad/", "[Pp]ort"),
        ("mqtt://user:s3cr@et/s3cret@host/#", r"contains \? or #"),
        ("http://user:s3cret@host/", "does not begin"),
        ("user:s3cret@host", "does not begin"),
        ("mqtt://host/" + 201 * "x", "longer than 200"),
        ("mqtt://host name/", "a space"),
    ],
)
def test_errors_do_not_contain_the_password(text: str, message: str) -> None:
    with pytest.raises(SinkError, match=message) as error:
        parse_broker_url(text, {})
    assert "s3cr" not in str(error.value)
    assert error.value.__suppress_context__


def test_the_password_may_come_from_the_environment() -> None:
    environment = {"FER_EDGE_MQTT_PASSWORD": "100%25"}
    assert parse_broker_url("mqtt://me@host", environment).password == "100%25"
    assert parse_broker_url("mqtt://me:other@host", environment).password == "other"
    assert parse_broker_url("mqtt://host", environment).password is None
    assert "100" not in repr(parse_broker_url("mqtt://me@host", environment))
    assert str(parse_broker_url("mqtts://me@[fe80::1]/a/b", environment)) == "mqtts://[fe80::1]:8883/a/b"


@given(st.text())
def test_every_source_gives_a_valid_name(source: str) -> None:
    assert NAME.fullmatch(default_name(source))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/dev/video0 (V4L2, 640x480)", "video0"),
        ("camera 0 (picamera2, 640x480)", "camera-0"),
        ("http://10.0.0.7:8080/stream?token=secret", "10-0-0-7-8080-stream"),
        ("films/party.mp4", "party"),
    ],
)
def test_the_default_name_has_host_and_source(monkeypatch: pytest.MonkeyPatch, source: str, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "kitchen.local")
    assert default_name(source) == f"kitchen-{name}"


def test_names_are_checked() -> None:
    assert checked_name("kitchen_1-b") == "kitchen_1-b"
    for name in ("", "a/b", "a b", "ü", 65 * "x"):
        with pytest.raises(SinkError, match="--mqtt-id"):
            checked_name(name)


def test_discovery_prefixes_are_checked() -> None:
    assert [checked_discovery_prefix(text) for text in ("homeassistant", "/a/b/", "none", "", "/")] == [
        "homeassistant",
        "a/b",
        "",
        "",
        "",
    ]
    for prefix in ("ha/#", "+", "a//b", "$SYS", "a\nb", 201 * "x"):
        with pytest.raises(SinkError, match="--mqtt-discovery"):
            checked_discovery_prefix(prefix)
