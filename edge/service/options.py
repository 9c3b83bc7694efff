"""The options of `fer-edge service install`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option


@dataclass(frozen=True)
class InstallOptions:
    """What the service may do, and whether it is started at once."""

    run_as: str | None = option(
        None,
        "User that the service runs as.",
        metavar="USER",
        show_default="one that systemd makes for it",
        example="pi",
    )
    write: tuple[Path, ...] = option(
        (), "Folder that the service may write to; repeatable.", metavar="DIR", example=["/srv/faces"]
    )
    network: bool | None = option(
        None,
        "Allow the service to use the network.",
        show_default="if the configuration file may need it",
        example=True,
    )
    start: bool = option(True, "Start the service at once, not only at the next boot.")
    dry_run: bool = option(False, "Print the unit and write nothing.")
