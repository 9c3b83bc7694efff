#!/usr/bin/env python3
"""Whether a release of the fer-edge service is well: it runs, its page says so, and frames go on coming.

    check_health.py /opt/fer-edge/current [--timeout 120] [--settle 20]

Prints one line, and exits with 1 where it is not well; the line then ends with the last words of its log. The release's
release.json names its version and the address of its live page. Needs Python 3.11 and no packages.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

UNIT = "fer-edge.service"

MAX_RESTARTS = 3
"""Restarts after which a release is not waited for any longer."""

TOKEN = re.compile(r'^FER_EDGE_WEB_TOKEN="(.*)"$', re.MULTILINE)


class NotWellError(Exception):
    """Why a release is not well, in one line."""


@dataclass(frozen=True)
class Release:
    """What a release's folder says.

    Attributes:
        version: Version of fer-edge.
        page: Address of its live page; empty where it has none.
        token: The page's token; None without one.
        since: Seconds since the epoch when it was switched to.
    """

    version: str
    page: str
    token: str | None
    since: float


@dataclass(frozen=True)
class Metrics:
    """What the page's /metrics says."""

    version: str
    frames: float


def read_release(folder: Path) -> Release:
    """Read a release's folder, or a link to it."""
    content = json.loads((folder / "release.json").read_text("utf-8"))
    token = find_token((folder / "environment").read_text("utf-8"))
    return Release(content["version"], content["page"].rstrip("/"), token, folder.lstat().st_mtime)


def find_token(environment: str) -> str | None:
    """The page's token in the text of a file of variables; None without one."""
    found = TOKEN.search(environment)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None


def unit_state() -> dict[str, str]:
    """systemd's properties of the unit."""
    names = "ActiveState,SubState,Result,MainPID,NRestarts,StatusText"
    words = ["systemctl", "show", f"--property={names}", UNIT]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def last_words(since: float) -> str:
    """The last line that the service itself has logged since a time; empty where there is none."""
    words = ["journalctl", f"_SYSTEMD_UNIT={UNIT}", f"--since=@{since:.0f}", "--lines=1", "--output=cat", "--no-pager"]
    lines = subprocess.run([*words, "--quiet"], capture_output=True, text=True).stdout.strip().splitlines()
    return lines[-1] if lines else ""


def fetch(address: str, token: str | None) -> tuple[int, str]:
    """HTTP status and text of an address of the page; 0 and the error where nothing answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def command_line(process: str) -> list[str]:
    """The words of a process's command line, by its id."""
    return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")


def check_process(release: Release, state: dict[str, str]) -> None:
    """Check that the unit is active, in the release's version."""
    if state["ActiveState"] != "active":
        what = f"{state['ActiveState']} ({state['SubState']}), {state['NRestarts']} restarts"
        raise NotWellError(f"the service is {what}")
    program = command_line(state["MainPID"])[0]
    if f"/versions/{release.version}/" not in program:
        raise NotWellError(f"{program} runs, and not version {release.version}")


def check_page(release: Release) -> Metrics | None:
    """Check the page's health, and read its metrics; None without a page."""
    if not release.page:
        return None
    status, text = fetch(f"{release.page}/healthz", None)
    if status != 200:
        answer = f"{status} {text.strip()}" if status else text
        raise NotWellError(f"{release.page}/healthz: {answer}")
    status, text = fetch(f"{release.page}/metrics", release.token)
    version = re.search(r'^fer_edge_build_info\{version="([^"]*)"\}', text, re.MULTILINE)
    frames = re.search(r"^fer_edge_frames_total ([\d.e+]+)$", text, re.MULTILINE)
    if status != 200 or not version or not frames:
        raise NotWellError(f"{release.page}/metrics: {status} {text.strip()[:100]}")
    return Metrics(version[1], float(frames[1]))


def check(release: Release) -> tuple[dict[str, str], Metrics | None]:
    """Check once; the unit's state and the page's metrics."""
    state = unit_state()
    check_process(release, state)
    metrics = check_page(release)
    if metrics and metrics.version != release.version:
        raise NotWellError(f"{release.page} is that of version {metrics.version}, and not of {release.version}")
    return state, metrics


def wait_until_well(release: Release, timeout: float) -> tuple[dict[str, str], Metrics | None]:
    """Check until it is well, for `timeout` seconds, or until it has restarted too often."""
    deadline = time.monotonic() + timeout
    restarts = int(unit_state()["NRestarts"])
    while True:
        try:
            return check(release)
        except (NotWellError, FileNotFoundError) as error:  # a process that has just ended has no command line
            if time.monotonic() >= deadline or int(unit_state()["NRestarts"]) >= restarts + MAX_RESTARTS:
                raise NotWellError(str(error)) from None
        time.sleep(1)


def check_health(release: Release, timeout: float, settle: float) -> str:
    """Wait for the first frame, then for others.

    Args:
        release: The release.
        timeout: Seconds that it may take until it is well.
        settle: Seconds that it then has to stay so.

    Returns:
        What it does, in one line.

    Raises:
        NotWellError: It is not well.
    """
    before, last = wait_until_well(release, timeout)
    for _ in range(2):  # it may stall after the first frames, which are none of the second half's
        time.sleep(settle / 2)
        after, metrics = check(release)
        if after["MainPID"] != before["MainPID"]:
            raise NotWellError(f"the service was restarted within {settle:g} s")
        if last and metrics and metrics.frames <= last.frames:
            raise NotWellError(f"no frame was processed in {settle / 2:g} s, after {last.frames:.0f} before")
        if "disconnected" in after["StatusText"]:
            raise NotWellError(after["StatusText"])
        last = metrics
    return f"version {release.version} is well: {after['StatusText']}"


def main() -> int:
    """Check, print one line, and give the exit code."""
    parser = argparse.ArgumentParser(description="Whether a release of the fer-edge service is well.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    parser.add_argument("--settle", type=float, default=20, metavar="SECONDS")
    given = parser.parse_args()
    release = read_release(given.folder)
    try:
        print(check_health(release, given.timeout, given.settle))
    except (NotWellError, FileNotFoundError) as error:
        words = last_words(release.since)
        print(f"{error}{f'; its log ends with: {words}' if words else ''}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
