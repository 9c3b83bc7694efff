"""The devices with a page as targets for Prometheus, which reads them from a file (file_sd)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fer_edge.edge.commands.fleet.devices import FleetDevice


def targets(devices: Iterable[FleetDevice]) -> tuple[list[dict[str, Any]], list[str]]:
    """Make target groups, https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config.

    Offline devices are among them: that they cannot be scraped is what their `up` metric is for.

    Args:
        devices: The devices.

    Returns:
        A group for each device with a page, and the names of those whose page only their own machine can open.
    """
    groups, local = [], []
    for record in (device.record() for device in devices):
        address = urlsplit(record["page"] or "")
        try:
            host, port = address.hostname, address.port
        except ValueError:  # a page of another device's making
            continue
        if not host or port is None:
            continue
        if _is_loopback(host):
            local.append(record["name"])
            continue
        labels = {"device": record["name"]}
        labels |= {f"__meta_fer_edge_{key}": record[key] for key in ("version", "model") if record[key]}
        groups.append({"targets": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"], "labels": labels})
    return groups, local


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
