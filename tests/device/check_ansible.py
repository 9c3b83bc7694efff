"""Checks of the Ansible role of examples/ on two machines; tests/device/ansible.sh runs them.

Versions are rolled out, good ones and bad ones, and configurations; the service must be well after each of them, and a
play that had to go back must say why.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_checks import check, end, failures, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "ansible"
FOLDER = Path(sys.argv[1])
"""Holds the key, and gets wheels, inventory and models."""

MACHINES = {"kitchen": "10.77.0.2", "door": "10.77.0.3"}
TOKEN = 'a"token"with$10\\in-it'

DYNAMIC = range(61184, 65520)
"""User ids that systemd assigns to services with DynamicUser."""

GOOD: dict[str, tuple[str, str] | None] = {"1.0.0": None, "1.1.0": None}
BAD: dict[str, tuple[str, str] | None] = {
    "1.2.0": ("source = closing", 'raise SourceError("version 1.2.0 opens nothing")\n        source = closing'),
    "1.3.0": (
        "if stats.summary_due",
        "while stats.frames == 3:\n                pass\n            if stats.summary_due",
    ),
}
"""Versions, and what is replaced in edge/commands/run.py: one ends at its start, one stalls after three frames."""

SSH = (
    *("ssh", "-i", str(FOLDER / "key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5"),
)

SETTINGS: dict[str, Any] = {
    "source": "/srv/clip.mp4",
    "loop": True,
    "show": "none",
    "model": "mobilenet_v2",
    "web": "0.0.0.0:8080",
}


@dataclass(frozen=True)
class Play:
    """A playbook's exit code, its output, and the number of changed and failed tasks by machine."""

    code: int
    output: str
    changed: dict[str, int]
    failed: dict[str, int]


def build_wheels() -> None:
    """Build every version's wheel from the checkout."""
    for version, change in {**GOOD, **BAD}.items():
        copy = FOLDER / "source" / version
        git = ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
            if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
        setup = copy / "setup.cfg"
        setup.write_text(re.sub(r"^version = .*", f"version = {version}", setup.read_text(), flags=re.MULTILINE))
        if change:
            run = copy / "edge" / "commands" / "run.py"
            assert run.read_text().count(change[0]) == 1, change[0]
            run.write_text(run.read_text().replace(*change))
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
        subprocess.run([*pip, "--wheel-dir", FOLDER / "wheels", copy], check=True)


def write_inventory() -> None:
    shared = {
        "ansible_user": "pi",
        "ansible_ssh_private_key_file": str(FOLDER / "key"),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "fer_edge_wheel": f"{FOLDER}/wheels/fer_edge-{{{{ fer_edge_version }}}}-py3-none-any.whl",
        "fer_edge_pip_arguments": "--no-index --find-links /srv/wheels",
        "fer_edge_config": {"run": SETTINGS},
        "fer_edge_environment": {"FER_EDGE_WEB_TOKEN": TOKEN},
        "fer_edge_settle": 8,
        "fer_edge_timeout": 120,
        "fer_edge_keep": 2,
    }
    # a host's variables go before those of the example's group_vars
    hosts = {name: {"ansible_host": address, **shared} for name, address in MACHINES.items()}
    inventory = {"fer_edge": {"hosts": hosts}}
    (FOLDER / "inventory.yml").write_text(json.dumps(inventory))  # JSON is YAML, too


def ansible(playbook: str, *words: str, **variables: object) -> Play:
    """Run a playbook of the example on both machines, and show its output."""
    given = ["-e", json.dumps(variables)] if variables else []
    command = ["ansible-playbook", "-i", str(FOLDER / "inventory.yml"), playbook, *words, *given]
    print(f"$ {' '.join(command)}", flush=True)
    start = time.monotonic()
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0"}
    process = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True)
    output = process.stdout + process.stderr
    print(f"{output[-6000:]}\nexit code {process.returncode} after {time.monotonic() - start:.0f} s", flush=True)
    check("the token is not shown", TOKEN not in output and json.dumps(TOKEN)[1:-1] not in output)
    recap = {m[1]: dict(re.findall(r"(\w+)=(\d+)", m[2])) for m in re.finditer(r"^(\w+) +: (ok=.*)$", output, re.M)}
    counts = [{name: int(each[word]) for name, each in recap.items()} for word in ("changed", "failed")]
    return Play(process.returncode, output, *counts)


def deploy(version: str, *words: str, **variables: object) -> Play:
    return ansible("deploy.yml", *words, fer_edge_version=version, **variables)


def on(machine: str, command: str) -> str:
    """What a command that root runs on a machine prints."""
    words = [*SSH, f"pi@{MACHINES[machine]}", f"sudo sh -c '{command}'"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def answer(machine: str) -> str:
    """Health and version that a machine's page answers over the network."""

    def get(path: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(f"http://{MACHINES[machine]}:8080{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()

    try:
        version = re.search(r'^fer_edge_build_info\{version="(.*)"\}', get("/metrics")[1], re.MULTILINE)
        return f"{get('/healthz')[0]} {version and version[1]}"
    except OSError as error:
        return str(error)


def process_id(machine: str) -> str:
    return on(machine, "systemctl show --value --property=MainPID fer-edge")


def runs(version: str, *machines: str) -> bool:
    """Whether the machines' services, all by default, run this version and are well."""
    return all(answer(name) == f"200 {version}" for name in machines or MACHINES)


def check_lint() -> None:
    process = subprocess.run(["ansible-lint", "--offline", "--nocolor"], cwd=EXAMPLE, capture_output=True, text=True)
    print(process.stdout + process.stderr)
    check("ansible-lint's profile 'production' is met", process.returncode == 0 and "'production'" in process.stderr)


def check_install() -> None:
    play = deploy("1.0.0", "--check")
    check("checked, nothing is installed", play.code == 0 and on("kitchen", "ls /opt") == "")
    play = deploy("1.0.0")
    check("installed", play.code == 0 and runs("1.0.0"))
    check("secrets are root's alone", on("door", "stat -L -c %a%U /opt/fer-edge/current/environment") == "600root")
    user = on("door", "stat -c %u /proc/$(systemctl show --value -p MainPID fer-edge)")
    check(f"it runs as the dynamic user {user}", user.isdigit() and int(user) in DYNAMIC)
    check("the command is that version", on("door", "fer-edge --version") == "fer-edge 1.0.0")
    check("it is enabled", on("door", "systemctl is-enabled fer-edge") == "enabled")
    before = process_id("kitchen")
    play = deploy("1.0.0")
    check("again, nothing changes", play.code == 0 and set(play.changed.values()) == {0})
    check("and nothing is restarted", process_id("kitchen") == before)


def check_update() -> None:
    before = process_id("kitchen")
    play = deploy("1.1.0", "--check")
    check("checked, an update is announced", play.code == 0 and "in place of 0001-1.0.0" in play.output)
    check("and does nothing", process_id("kitchen") == before and on("kitchen", "ls /opt/fer-edge/versions") == "1.0.0")
    play = deploy("1.1.0")
    check("updated", play.code == 0 and runs("1.1.0"))
    check("the old version is kept", on("kitchen", "ls /opt/fer-edge/versions").split() == ["1.0.0", "1.1.0"])


def check_bad_versions() -> None:
    play = deploy("1.2.0")
    check("a version that ends at once fails", play.code != 0 and play.failed.get("kitchen") == 1)
    check("for its own reason", "version 1.2.0 opens nothing" in play.output)
    check("and was taken back", runs("1.1.0") and "0002-1.1.0 runs again and is well" in play.output)
    check("and not tried on the second machine", "0003" not in on("door", "ls /opt/fer-edge/releases"))
    check("its files are removed", "1.2.0" not in on("kitchen", "ls /opt/fer-edge/versions"))
    before = process_id("kitchen")
    play = deploy("1.2.0")
    check("again, it is refused", play.code != 0 and "taken back on this device before" in play.output)
    check("for the reason of then", "version 1.2.0 opens nothing" in play.output.split("TASK")[-1])
    check("and nothing is restarted", process_id("kitchen") == before)

    play = deploy("1.3.0", fer_edge_serial=["100%"])
    check("a version that stalls fails on both machines of a batch", play.failed == dict.fromkeys(MACHINES, 1))
    check("as no frame comes", play.output.count("no frame was processed in") + play.output.count("healthz: 503") >= 2)
    check("and was taken back on both", runs("1.1.0"))
    check("both say so", play.output.count("0002-1.1.0 runs again and is well") >= 2)


def check_configuration() -> None:
    before = process_id("kitchen")
    play = deploy("1.1.0", fer_edge_config={"run": {**SETTINGS, "treads": 1}})
    check("an unknown option is refused", play.code != 0 and "did you mean threads?" in play.output)
    check("before anything is restarted", process_id("kitchen") == before)
    play = deploy("1.1.0", fer_edge_config={"run": {**SETTINGS, "source": "/srv/no-clip.mp4"}})
    check("a configuration that does not run is taken back", play.code != 0 and runs("1.1.0"))
    check("for its reason", "no-clip.mp4" in play.output.split("TASK")[-1])
    check("the one before is read again", "/srv/clip.mp4" in on("kitchen", "cat /opt/fer-edge/current/fer-edge.toml"))
    play = deploy("1.1.0", fer_edge_environment={"FER_EDGE_WEB_TOKEN": TOKEN, "FER_EDGE_RUN_THREADS": "none"})
    check("a wrong variable is taken back", play.code != 0 and runs("1.1.0"))


def check_model() -> None:
    models = FOLDER / "models"
    models.mkdir()
    for ending in ("tflite", "json"):
        shutil.copy(ROOT / "models" / f"mobilenet_v2_int8.{ending}", models / f"office-1_int8.{ending}")
    files = [str(path) for path in sorted(models.iterdir())]
    settings = {"run": {**SETTINGS, "model": "/opt/fer-edge/models/office-1_int8.tflite"}}
    play = deploy("1.1.0", fer_edge_models=files, fer_edge_config=settings)
    check("a model is rolled out", play.code == 0 and runs("1.1.0"))
    play = deploy("1.1.0", fer_edge_models=files, fer_edge_config=settings)
    check("again, nothing changes", play.code == 0 and set(play.changed.values()) == {0})
    (models / "office-1_int8.tflite").write_bytes(b"another")
    play = deploy("1.1.0", fer_edge_models=files, fer_edge_config=settings)
    check("another file of the same name is refused", play.code != 0 and "another name" in play.output)


def check_rollback() -> None:
    play = ansible("rollback.yml", "--check")
    check("checked, a rollback is announced", play.code == 0 and "0002-1.1.0 would be started" in play.output)
    play = ansible("rollback.yml")
    check("rolled back to the release before", play.code == 0 and runs("1.1.0"))
    config = on("door", "cat /opt/fer-edge/current/fer-edge.toml")
    check("with its configuration", "mobilenet_v2" in config and "office" not in config)


def check_repair() -> None:
    on("kitchen", "rm /opt/fer-edge/current/confirmed; systemctl stop fer-edge")
    play = deploy("1.1.0")
    check("an interrupted rollout is finished", play.code == 0 and runs("1.1.0"))
    on("kitchen", "systemctl stop fer-edge")
    on("door", "sed -i s/^RestartSec=.*/RestartSec=9/ /etc/systemd/system/fer-edge.service")
    play = deploy("1.1.0")
    unit = on("door", "cat /etc/systemd/system/fer-edge.service")
    check("what was stopped is started", play.code == 0 and runs("1.1.0"))
    check("and a unit that was changed is written again", "RestartSec=5" in unit)
    play = deploy("1.1.0")
    check("and then nothing changes", play.code == 0 and set(play.changed.values()) == {0})


def main() -> None:
    check_lint()
    build_wheels()
    write_inventory()
    for name in MACHINES:
        check(f"{name} is up", wait_until(lambda name=name: on(name, "systemctl is-system-running") != ""))
    for each in (
        check_install,
        check_update,
        check_bad_versions,
        check_configuration,
        check_model,
        check_rollback,
        check_repair,
    ):
        print(f"== {each.__name__.removeprefix('check_')}", flush=True)
        each()
        if failures:  # the next checks start from what this one leaves
            break
    end()


if __name__ == "__main__":
    main()
