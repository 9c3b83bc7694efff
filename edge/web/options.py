"""What the live page can be told."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.edge.types import option


@dataclass(frozen=True)
class WebOptions:
    """Where the live page listens, and its token."""

    web: str | None = option(
        None,
        "Serve a live page; 127.0.0.1:8080 without a value.",
        metavar="[HOST:]PORT",
        flag_value="8080",
        example="8080",
        network=True,
    )
    web_token: str | None = option(
        None,
        "Token of the live page; required beyond this machine, and generated there where none is given.",
        envvar="FER_EDGE_WEB_TOKEN",
        secret=True,
    )
