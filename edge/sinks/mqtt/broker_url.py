"""mqtt[s]://[user[:password]@]host[:port]/prefix, and the name of this camera under that prefix."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fer_edge.edge.errors import SinkError

PORTS = {"mqtt": 1883, "mqtts": 8883}
PREFIX = "fer-edge"
PASSWORD = "FER_EDGE_MQTT_PASSWORD"
LONGEST = 200
"""Bytes of a prefix; MQTT has room for 65535 in a topic, brokers often for less."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What Home Assistant allows in its topics, https://www.home-assistant.io/integrations/mqtt/#discovery-topic."""


@dataclass(frozen=True)
class Address:
    """A broker, who connects to it, and the topic prefix; as text it shows neither user nor password."""

    host: str
    port: int
    prefix: str
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}/{self.prefix}"


def parse(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address that was typed, user, password and prefix percent-decoded; SinkError, without the password.

    A password that is not in the address is taken from FER_EDGE_MQTT_PASSWORD, where nobody sees it in `ps`.
    """
    try:
        return _parsed(text, environment)
    except ValueError as error:
        shown = re.sub(r"^(\w+://)?.*@", r"\1…@", text, flags=re.DOTALL)
        wanted = "mqtt[s]://[user[:password]@]host[:port]/prefix"
        raise SinkError(f"--mqtt {shown!r}: {error}; expected {wanted}") from None


def _parsed(text: str, environment: Mapping[str, str]) -> Address:
    if re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("it holds a blank or a control character (write it as %20)")
    parts = urlsplit(text)
    if parts.scheme not in PORTS:
        raise ValueError("it does not begin with mqtt:// or mqtts://")
    if parts.query or parts.fragment or text[-1] in "?#":
        raise ValueError("it holds ? or # (in a password, write %3F or %23)")
    port = parts.port  # ValueError of its own
    if port == 0:
        raise ValueError("port 0 cannot be reached")
    user, password = parts.username, parts.password
    if password is not None and not user:
        raise ValueError("it has a password and no user")
    if password is None and user:
        password = environment.get(PASSWORD)
    return Address(
        _host(parts.hostname or ""),
        port or PORTS[parts.scheme],
        _prefix(unquote(parts.path, errors="strict")),
        parts.scheme == "mqtts",
        unquote(user, errors="strict") if user else None,
        unquote(password, errors="strict") if password is not None and parts.password is not None else password,
    )


def _host(host: str) -> str:
    if not host:
        raise ValueError("it names no host")
    try:
        host.encode("idna")  # as the socket will; there it would not be an OSError
    except UnicodeError:
        raise ValueError("its host is no host's name") from None
    return host


def _prefix(path: str) -> str:
    return _checked(path.strip("/")) or PREFIX


def _checked(prefix: str) -> str:
    if re.search(r"[+#\x00-\x1f\x7f]", prefix) or prefix.startswith("$") or "//" in prefix:
        raise ValueError("the prefix holds +, #, // or a control character, or begins with $")
    if len(prefix.encode()) > LONGEST:
        raise ValueError(f"the prefix is longer than {LONGEST} bytes")
    return prefix


def checked_discovery(text: str) -> str:
    """Home Assistant's prefix, as topics can hold it, or '' for 'none'; SinkError."""
    try:
        prefix = _checked(text.strip("/"))
    except ValueError as error:
        raise SinkError(f"--mqtt-discovery {text!r}: {error}; expected a topic, as homeassistant is, or none") from None
    return "" if prefix == "none" else prefix


def checked_name(name: str) -> str:
    """The name if topics can hold it; SinkError."""
    if not NAME.fullmatch(name):
        raise SinkError(f"--mqtt-id {name!r}: expected 1 to 64 letters a-z, digits, - and _")
    return name


def default_name(source: str) -> str:
    """This host and the source, as 'kitchen-video0' for /dev/video0 on the host kitchen."""
    host = socket.gethostname().partition(".")[0]
    short = source.partition(" (")[0].partition("?")[0]
    short = short.partition("://")[2] or Path(short).stem
    return re.sub(r"[^A-Za-z0-9_]+", "-", f"{host}-{short}").strip("-")[:64] or PREFIX
