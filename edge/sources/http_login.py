"""User and password for a network camera: Basic, and Digest as today's cameras ask for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from http.client import HTTPMessage
from typing import Any
from urllib.error import HTTPError
from urllib.request import (
    BaseHandler,
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    Request,
    parse_http_list,
    parse_keqv_list,
)

ALGORITHMS = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
"""Of RFC 7616."""


def login_handlers(root: str, login: tuple[str, str]) -> list[BaseHandler]:
    """Handlers that answer a server's challenge.

    Args:
        root: The server's address with its scheme; no other gets the login.
        login: User and password.
    """
    basic, digest = HTTPPasswordMgrWithDefaultRealm(), HTTPPasswordMgrWithDefaultRealm()
    basic.add_password(None, root, *login)
    digest.add_password(None, root, *(each.encode().decode("latin-1") for each in login))
    return [HTTPBasicAuthHandler(basic), _DigestHandler(digest)]


class _DigestHandler(HTTPDigestAuthHandler):
    """Answers the first challenge of an algorithm that it knows, once: cameras lock users out who fail repeatedly.

    Urllib's handler reads the first challenge only, knows no SHA-256, no password that is not ASCII, and tries a wrong
    password six times. All text is Latin-1, whose characters are bytes, as http.client has headers.
    """

    retried: int  # urllib's, which its `http_error_401` sets to 0 again

    def http_error_auth_reqed(self, auth_header: str, host: str, req: Request, headers: HTTPMessage) -> Any:
        for challenge in headers.get_all(auth_header, []):
            scheme, _, rest = challenge.partition(" ")
            fields = parse_keqv_list([each for each in parse_http_list(rest) if "=" in each])
            if scheme.lower() != "digest" or fields.get("algorithm", "MD5").upper() not in ALGORITHMS:
                continue
            if (self.retried and fields.get("stale", "").lower() != "true") or self.retried > 1:
                raise HTTPError(req.full_url, 401, "wrong user or password", headers, None)
            self.retried += 1
            return self.retry_http_digest_auth(req, challenge)
        return None

    def get_authorization(self, req: Request, chal: Mapping[str, str]) -> str | None:
        if "auth" in (each.strip() for each in chal.get("qop", "").split(",")):
            chal = {**chal, "qop": "auth"}
        return super().get_authorization(req, chal)

    def get_algorithm_impls(self, algorithm: str) -> tuple[Callable[[str], str], Callable[[str, str], str]]:
        def hashed(text: str) -> str:
            return ALGORITHMS[algorithm.upper()](text.encode("latin-1"), usedforsecurity=False).hexdigest()

        return hashed, lambda secret, data: hashed(f"{secret}:{data}")
