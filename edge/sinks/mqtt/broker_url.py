"""The broker's URL, mqtt[s]://[user[:password]@]host[:port]/prefix, and the camera's name under that prefix."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fer_edge.edge.errors import SinkError, redact, shortened

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
DEFAULT_PREFIX = "fer-edge"
PASSWORD_VARIABLE = "FER_EDGE_MQTT_PASSWORD"

MAX_PREFIX_BYTES = 200
"""MQTT has room for 65535 bytes in a topic, brokers often for less."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What Home Assistant allows in its topics, https://www.home-assistant.io/integrations/mqtt/#discovery-topic."""


@dataclass(frozen=True)
class BrokerUrl:
    """A broker's URL; as text it has neither user nor password.

    Attributes:
        host: Name or IP address.
        port: 1 to 65535.
        prefix: First levels of all topics.
        tls: Whether the connection is encrypted.
        user: User name, or None.
        password: Password, or None.
    """

    host: str
    port: int
    prefix: str
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}/{self.prefix}"


def parse_broker_url(text: str, environment: Mapping[str, str] = os.environ, option: str = "--mqtt") -> BrokerUrl:
    """Parse a broker's URL; user, password and prefix are percent-decoded.

    Args:
        text: The URL.
        environment: Has the password as FER_EDGE_MQTT_PASSWORD, where `ps` does not show it, if the URL has none.
        option: The option that has the URL, for the error.

    Raises:
        SinkError: The text is no such URL; the message does not contain the password.
    """
    try:
        return _parse(text, environment)
    except ValueError as error:
        syntax = "mqtt[s]://[user[:password]@]host[:port]/prefix"
        raise SinkError(f"{option} {redact(text)!r}: {error}; expected {syntax}") from None


def _parse(text: str, environment: Mapping[str, str]) -> BrokerUrl:
    if re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("it contains a space or a control character (write a space as %20)")
    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("it does not begin with mqtt:// or mqtts://")
    if parts.query or parts.fragment or text[-1] in "?#":
        raise ValueError("it contains ? or # (in a password, write %3F or %23)")
    try:
        port = parts.port
    except ValueError:  # its message has the port, which is a password where the host was forgotten
        port = 0
    if port == 0:
        raise ValueError("its port is not a number from 1 to 65535")
    user, password = parts.username, parts.password
    if password is not None and not user:
        raise ValueError("it has a password but no user")
    if password is not None:
        password = unquote(password, errors="strict")
    elif user:
        password = environment.get(PASSWORD_VARIABLE)
    return BrokerUrl(
        _checked_host(parts.hostname or ""),
        port or DEFAULT_PORTS[parts.scheme],
        _checked_prefix(unquote(parts.path, errors="strict").strip("/")) or DEFAULT_PREFIX,
        parts.scheme == "mqtts",
        unquote(user, errors="strict") if user else None,
        password,
    )


def _checked_host(host: str) -> str:
    if not host:
        raise ValueError("it has no host")
    if "%" in host and ":" not in host:  # an IPv6 address may have a %zone
        raise ValueError("its host has a %; write the : and @ around a password as they are")
    try:
        host.encode("idna")  # as the socket does, where the error would not be an OSError
    except UnicodeError:
        raise ValueError("its host is not a valid host name") from None
    return host


def _checked_prefix(prefix: str) -> str:
    if re.search(r"[+#\x00-\x1f\x7f]", prefix) or prefix.startswith("$") or "//" in prefix:
        raise ValueError("the prefix contains +, #, // or a control character, or begins with $")
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        raise ValueError(f"the prefix is longer than {MAX_PREFIX_BYTES} bytes")
    return prefix


def checked_discovery_prefix(text: str) -> str:
    """Home Assistant's discovery prefix without outer slashes, or '' for 'none'.

    Raises:
        SinkError: A topic cannot contain it.
    """
    try:
        prefix = _checked_prefix(text.strip("/"))
    except ValueError as error:
        message = f"--mqtt-discovery {text!r}: {error}; expected a topic, for example homeassistant, or none"
        raise SinkError(message) from None
    return "" if prefix == "none" else prefix


def checked_name(name: str, option: str = "--mqtt-id") -> str:
    """The camera's name, if topics can contain it; `option` has it, for the error.

    Raises:
        SinkError: It does not match `NAME`.
    """
    if not NAME.fullmatch(name):
        raise SinkError(f"{option} {shortened(name)!r}: expected 1 to 64 letters a-z, digits, - and _")
    return name


def default_name(source: str) -> str:
    """A name from this host and the source's name, as 'kitchen-video0' for /dev/video0 on the host kitchen."""
    host = socket.gethostname().partition(".")[0]
    short = source.partition(" (")[0].partition("?")[0]
    short = short.partition("://")[2] or Path(short).stem
    return re.sub(r"[^A-Za-z0-9_]+", "-", f"{host}-{short}").strip("-")[:64] or DEFAULT_PREFIX
