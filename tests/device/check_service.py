"""Checks of the unit of `fer-edge service install` under a real systemd; tests/device/debian.sh runs them.

The camera is the kernel's `vivid`. The service runs as a dynamic user, captures, hangs, and is restarted by the
watchdog.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from device_checks import check, end, fer_edge, wait_until

from fer_edge.edge.service.systemd_unit import NAME
from fer_edge.edge.sources.devices import processes_using

CAMERA = Path("/dev/v4l/by-path/platform-vivid.0-video-index0")
CONFIG = Path("/etc/fer-edge/fer-edge.toml")
STATE = Path("/var/lib/fer-edge")
UNIT = Path("/etc/systemd/system") / NAME
DYNAMIC = range(61184, 65520)
"""User ids that systemd assigns to services with DynamicUser."""

SETTINGS = f"""\
[run]
camera = "{CAMERA}"
show = "none"
model = "mobilenet_v2"
jsonl = "faces.jsonl"
"""


def command_output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def unit_property(name: str) -> str:
    """A property of the unit, from systemd."""
    return command_output("systemctl", "show", "--value", f"--property={name}", NAME)


def is_capturing() -> bool:
    """Whether it is active, which it is from its first frame on, and has the camera open."""
    return unit_property("ActiveState") == "active" and any(
        unit_property("MainPID") in each for each in processes_using(str(CAMERA))
    )


def count_frames() -> int:
    return (STATE / "faces.jsonl").read_text().count("\n")


def check_install() -> None:
    subprocess.run(["modprobe", "vivid", "n_devs=1"], check=True)
    check("vivid is there", wait_until(CAMERA.exists))
    CONFIG.parent.mkdir()
    CONFIG.write_text(SETTINGS)
    CONFIG.chmod(0o600)  # it may contain a password; systemd reads it for the service
    process = fer_edge("service", "install")
    check(
        "installed and starting",
        process.returncode == 0 and "starting now, and when the machine boots" in process.stdout,
    )
    check("it becomes active and has the camera open", wait_until(is_capturing))
    check("it is enabled", command_output("systemctl", "is-enabled", NAME) == "enabled")
    user = Path(f"/proc/{unit_property('MainPID')}").stat().st_uid
    check(f"it runs as the dynamic user {user}", user in DYNAMIC)
    before = count_frames()
    check("it goes on capturing", wait_until(lambda: count_frames() > before + 5))
    process = fer_edge("service", "status")
    check("status shows that it is active", "active: active (running), 0 restarts" in process.stdout)
    check("and that it is enabled", "enabled: enabled" in process.stdout)


def check_watchdog() -> None:
    hung_process = unit_property("MainPID")
    os.kill(int(hung_process), signal.SIGSTOP)
    check("hung, the watchdog restarts it", wait_until(lambda: unit_property("NRestarts") == "1"))
    check(
        "the journal has the reason", "Watchdog timeout" in command_output("journalctl", "--unit", NAME, "--no-pager")
    )
    check("another process captures", wait_until(is_capturing) and unit_property("MainPID") != hung_process)
    before = count_frames()
    check("and goes on writing", wait_until(lambda: count_frames() > before + 5))


def check_restart() -> None:
    killed_process = unit_property("MainPID")
    os.kill(int(killed_process), signal.SIGKILL)
    check(
        "killed, it is restarted",
        wait_until(lambda: unit_property("NRestarts") == "2" and is_capturing())
        and unit_property("MainPID") != killed_process,
    )


def check_uninstall() -> None:
    process = fer_edge("service", "uninstall")
    check("uninstalled", process.returncode == 0 and not UNIT.exists())
    check(
        "nothing runs, and no process has the camera open",
        unit_property("ActiveState") != "active" and not processes_using(str(CAMERA)),
    )
    log = command_output("journalctl", "--unit", NAME, "--no-pager")
    print(log)
    check("it was shut down cleanly", " frames, " in log and "Traceback" not in log)
    CONFIG.unlink()
    subprocess.run(["modprobe", "--remove", "vivid"], check=True)


if __name__ == "__main__":
    print(command_output("systemctl", "--version").splitlines()[0])
    check_install()
    check_watchdog()
    check_restart()
    check_uninstall()
    end()
