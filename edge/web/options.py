"""Options of the live page."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.edge.types import option


@dataclass(frozen=True)
class WebOptions:
    """Address and token of the live page."""

    web: str | None = option(
        None,
        "Serve a live page; without a value on 127.0.0.1:8080.",
        metavar="[HOST:]PORT",
        flag_value="8080",
        example="8080",
        network=True,
    )
    web_token: str | None = option(
        None,
        "Token of the live page, required from other machines; generated at each start if none is given.",
        metavar="TOKEN",
        envvar="FER_EDGE_WEB_TOKEN",
        secret=True,
    )
