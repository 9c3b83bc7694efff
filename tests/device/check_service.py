"""The unit that `fer-edge service install` writes, started by a real systemd; tests/device/debian.sh runs it.

The camera is the kernel's `vivid`. The service runs as a user that exists only meanwhile, films, hangs, and is
restarted by the watchdog.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from checking import check, end, fer_edge, waited

from fer_edge.edge.service.systemd_unit import NAME
from fer_edge.edge.sources.devices import processes_using

CAMERA = Path("/dev/v4l/by-path/platform-vivid.0-video-index0")
CONFIG = Path("/etc/fer-edge/fer-edge.toml")
STATE = Path("/var/lib/fer-edge")
UNIT = Path("/etc/systemd/system") / NAME
DYNAMIC = range(61184, 65520)
"""The users that systemd gives out while a service runs."""

SETTINGS = f"""\
[run]
camera = "{CAMERA}"
show = "none"
model = "mobilenet_v2"
detector = "blazeface-short"
jsonl = "faces.jsonl"
"""


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def told(name: str) -> str:
    """What systemd tells of the unit."""
    return said("systemctl", "show", "--value", f"--property={name}", NAME)


def films() -> bool:
    """Whether it is active, which it is from its first frame on, and has the camera."""
    return told("ActiveState") == "active" and any(told("MainPID") in each for each in processes_using(str(CAMERA)))


def frames() -> int:
    return (STATE / "faces.jsonl").read_text().count("\n")


def installing() -> None:
    subprocess.run(["modprobe", "vivid", "n_devs=1"], check=True)
    check("vivid is there", waited(CAMERA.exists))
    CONFIG.parent.mkdir()
    CONFIG.write_text(SETTINGS)
    CONFIG.chmod(0o600)  # it may hold a password: systemd reads it for the service
    done = fer_edge("service", "install")
    check("installed and starting", done.returncode == 0 and "starting now, and when the machine boots" in done.stdout)
    check("it becomes active and has the camera", waited(films))
    check("it is enabled", said("systemctl", "is-enabled", NAME) == "enabled")
    user = Path(f"/proc/{told('MainPID')}").stat().st_uid
    check(f"it runs as a user of its own, {user}", user in DYNAMIC)
    before = frames()
    check("it films on", waited(lambda: frames() > before + 5))
    done = fer_edge("service", "status")
    check("status tells that it is active", "active: active (running), 0 restarts" in done.stdout)
    check("and that it is enabled", "enabled: enabled" in done.stdout)


def hanging() -> None:
    hung = told("MainPID")
    os.kill(int(hung), signal.SIGSTOP)
    check("hung, the watchdog restarts it", waited(lambda: told("NRestarts") == "1"))
    check("the journal says why", "Watchdog timeout" in said("journalctl", "--unit", NAME, "--no-pager"))
    check("another process films", waited(films) and told("MainPID") != hung)
    before = frames()
    check("and goes on writing", waited(lambda: frames() > before + 5))


def crashing() -> None:
    crashed = told("MainPID")
    os.kill(int(crashed), signal.SIGKILL)
    check(
        "killed, it is restarted", waited(lambda: told("NRestarts") == "2" and films()) and told("MainPID") != crashed
    )


def uninstalling() -> None:
    done = fer_edge("service", "uninstall")
    check("uninstalled", done.returncode == 0 and not UNIT.exists())
    check(
        "nothing runs and nobody has the camera", told("ActiveState") != "active" and not processes_using(str(CAMERA))
    )
    log = said("journalctl", "--unit", NAME, "--no-pager")
    print(log)
    check("it was ended in good order", " frames, " in log and "Traceback" not in log)
    CONFIG.unlink()
    subprocess.run(["modprobe", "--remove", "vivid"], check=True)


if __name__ == "__main__":
    print(said("systemctl", "--version").splitlines()[0])
    installing()
    hanging()
    crashing()
    uninstalling()
    end()
