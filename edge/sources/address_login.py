"""User and password in an address, taken out of it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

ENCODE = "write / as %2F, ? as %3F, # as %23 and @ as %40 in a password"

_QUERY = "/%:=&~+!$,;'@()*?[]{}|^`\\<>\""
"""Characters of a query that stay as they are."""


def split_login(address: str) -> tuple[str, tuple[str, str] | None]:
    """Take user and password out of an address.

    Args:
        address: The address.

    Returns:
        The address without them, its path percent-encoded where it was not, and both, decoded, or None.

    Raises:
        ValueError: It has no valid host or port; the message says why, without the password.
    """
    try:
        address.encode()
        parts = urlsplit(address)
        port = parts.port
    except UnicodeError:
        raise ValueError("it is not valid UTF-8; write other bytes as %FF") from None
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"its host or port is not valid; {ENCODE}")
    if not parts.hostname:
        raise ValueError("it has no host")
    if "%" in parts.hostname and ":" not in parts.hostname:  # an IPv6 address may have a %zone
        raise ValueError("its host has a %; write the : and @ around a password as they are")
    if "@" in parts.path and not parts.username:
        hint = re.search(r"^[^/?#]*:", parts.netloc)
        if hint:
            raise ValueError(f"its port is not valid; {ENCODE}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*") + ("?" * bool(parts.query))
    bare = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}{quote(parts.query, safe=_QUERY)}"
    if parts.username is None and parts.password is None:
        return bare, None
    return bare, (unquote(parts.username or ""), unquote(parts.password or ""))
