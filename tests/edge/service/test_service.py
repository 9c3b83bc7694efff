"""The systemd unit, judged by systemd's own tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from waiting import LIMIT

from fer_edge.edge.cli import main
from fer_edge.edge.service import manager
from fer_edge.edge.service.systemd_unit import CONFIG, CONFIGURED, NAME, Unit, outermost, quoted

pytestmark = pytest.mark.system

TOML = Path("/etc/fer-edge/fer-edge.toml")
RUN = ("/usr/bin/env", "python3", "-m", "fer_edge.edge.cli", "--config", CONFIG, "run")
VERSION = int(subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout.split()[1])

UNITS = {
    "offline": Unit(RUN, TOML, version=VERSION),
    "networked": Unit(RUN, TOML, network=True, version=VERSION),
    "home": Unit(RUN, Path("/home/a b/100%$x.toml"), (Path("/home/a b/.venv"),), (Path("/srv/out"),), "root"),
    "user": Unit(RUN, Path("/home/x/fer-edge.toml"), user=True, version=VERSION),
}


def fer_edge(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def analyze(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environ)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file and no unit of this machine's user is touched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_the_unit(name: str, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(UNITS[name].text())
    manager = ["--user"] if UNITS[name].user else []
    done = analyze("verify", *manager, "--man=no", path, XDG_RUNTIME_DIR=str(tmp_path))
    about_it = [line for line in done.stderr.splitlines() if NAME in line]
    assert (done.returncode, about_it) == (0, []), done.stderr


@pytest.mark.parametrize(("name", "most"), [("offline", 0.8), ("networked", 1.8)])
def test_systemd_grades_its_exposure_as_low(name: str, most: float, tmp_path: Path) -> None:
    """Of 10; an unhardened service has 9.6, and 2.0 is where OK begins."""
    path = tmp_path / NAME
    path.write_text(UNITS[name].text())
    done = analyze("security", "--offline=true", path)
    grade = re.search(r"Overall exposure level.*: ([\d.]+)", done.stdout)
    assert grade, done.stderr
    assert float(grade[1]) <= most, done.stdout


def test_a_home_is_hidden_but_for_what_is_needed() -> None:
    text = UNITS["home"].text()
    for line in (
        "ProtectHome=tmpfs",
        'BindReadOnlyPaths="/home/a b/.venv"',
        "ReadWritePaths=/srv/out",
        "User=root",
        "LoadCredential=fer-edge.toml:/home/a b/100%%$x.toml",
    ):
        assert line in text.splitlines()
    assert "ProtectHome=yes" in UNITS["offline"].text()
    assert "BindPaths=/home/x/out" in Unit(RUN, TOML, writable=(Path("/home/x/out"),)).text()


def test_the_nodes_that_report_throttling_are_allowed() -> None:
    """Raspberry Pi's are misc devices, whose names are in no list of majors: char-NAME matches nothing."""
    text = UNITS["offline"].text()
    for node in ("vcio", "vcio_gencmd", "vchiq"):
        assert f"DeviceAllow=/dev/{node} rw" in text.splitlines()
    assert "char-vc" not in text


def test_back_off_where_systemd_knows_it() -> None:
    assert "RestartSteps" not in Unit(RUN, TOML, version=252).text()
    assert "RestartMaxDelaySec=5min" in Unit(RUN, TOML, version=254).text()


def test_paths_inside_others_are_left_out() -> None:
    paths = [Path("/home/x/b"), Path("/home/x"), Path("/home/xy"), Path("/home/x")]
    assert outermost(paths) == [Path("/home/x"), Path("/home/xy")]


AWKWARD = "/srv/a b:'\"\\\\%$x"


def test_systemd_reads_awkward_paths_as_they_are(tmp_path: Path) -> None:
    """Its debug log repeats what it has read, and a configuration's path where it refuses it, here for the dots."""
    built = Unit(
        ("/usr/bin/env", AWKWARD),
        Path(f"{AWKWARD}/../x.toml"),
        (Path(f"/home{AWKWARD}"),),
        (Path(AWKWARD), Path(f"/root{AWKWARD}")),
    )
    path = tmp_path / NAME
    path.write_text(built.text())
    done = analyze("verify", "--man=no", path, SYSTEMD_LOG_LEVEL="debug")
    read = [line.strip() for line in done.stdout.splitlines()]
    assert f'Credential source "{AWKWARD}/../x.toml" not valid' in done.stderr
    assert f"ReadWritePaths: {AWKWARD}" in read
    assert f"BindPaths: /root{AWKWARD}:/root{AWKWARD}:rbind" in read
    assert f"BindReadOnlyPaths: /home{AWKWARD}:/home{AWKWARD}:rbind" in read


@given(st.text(st.sampled_from("ab/ \"'\\%$;{}~#\n\té"), min_size=1))
def test_words_are_quoted_as_systemd_splits_them(word: str) -> None:
    """Against systemd.syntax(7): double quotes with C escapes, %% for %."""
    text = quoted(word)
    if text.startswith('"'):
        inner = re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])
    else:
        inner = text
        assert not set(text) & set(" \"'\\;{}~#\n\t")
    assert inner.replace("%%", "%") == word


def test_a_dollar_is_doubled_in_the_command_alone() -> None:
    text = UNITS["user"].text() + Unit(("/bin/echo", "a$b"), Path("/$x"), writable=(Path("/$y"),)).text()
    assert {line for line in text.splitlines() if "$" in line} == {
        "# configuration: /$x",
        "ExecStart=/bin/echo a$$b",
        "LoadCredential=fer-edge.toml:/$x",
        "ReadWritePaths=/$y",
    }


def test_install_status_and_uninstall(tmp_path: Path) -> None:
    """Below another root, where systemctl enables and disables by files."""
    root = tmp_path / "card"
    done = fer_edge("service", "install", "--root", root)
    assert done.exit_code == 0, done.output
    place, config = root / "etc/systemd/system" / NAME, root / "etc/fer-edge/fer-edge.toml"
    assert "[run]" in config.read_text()
    assert "network: not allowed" in done.stdout
    assert "not started" in done.stdout.splitlines()[-1]
    assert f"ExecStart={sys.executable} -P -m fer_edge.edge.cli --config %d/fer-edge.toml run\n" in place.read_text()
    assert "LoadCredential=fer-edge.toml:/etc/fer-edge/fer-edge.toml\n" in place.read_text()
    assert (root / "etc/systemd/system/multi-user.target.wants" / NAME).is_symlink()
    status = fer_edge("service", "status", "--root", root)
    assert status.exit_code == 0
    assert [line.split(":")[0] for line in status.stdout.splitlines()] == [
        "installed",
        "configuration",
        "enabled",
        "active",
    ]
    assert "enabled: enabled" in status.stdout
    config.write_text("[run]\ntreads = 1\n")
    assert "did you mean threads?" in fer_edge("service", "status", "--root", root).stdout
    config.write_text("[run]\nsource = 'rtsp://camera/1'\n")
    assert "needs a network, which the unit does not allow" in fer_edge("service", "status", "--root", root).stdout
    assert "network: allowed" in fer_edge("service", "install", "--root", root).stdout
    assert "AF_INET" in place.read_text()
    assert f"configuration: {config}\n" in fer_edge("service", "status", "--root", root).stdout
    assert sorted(os.listdir(place.parent)) == [NAME, "multi-user.target.wants"]
    assert fer_edge("service", "uninstall", "--root", root).exit_code == 0
    assert not place.exists()
    assert not (root / "etc/systemd/system/multi-user.target.wants" / NAME).is_symlink()
    assert config.exists()
    again = fer_edge("service", "uninstall", "--root", root)
    assert again.exit_code == 2
    assert "nothing is installed" in again.stderr
    assert fer_edge("service", "status", "--root", root).exit_code == 1


def test_a_users_unit_lies_with_the_user(tmp_path: Path) -> None:
    done = fer_edge("service", "install", "--user", "--no-start")
    assert done.exit_code == 0, done.output
    place = tmp_path / "user/systemd/user" / NAME
    assert f"--config {tmp_path}/user/fer-edge/fer-edge.toml run" in place.read_text()
    assert "WantedBy=default.target" in place.read_text()
    assert fer_edge("service", "status", "--user").stdout.startswith(f"installed: {place}\n")
    assert fer_edge("service", "uninstall", "--user").exit_code == 0


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[run]\ntreads = 1\n")
    two_lines = tmp_path / "x\nExecStartPre=true"
    two_lines.touch()
    before = os.listdir(tmp_path)
    for words, message in (
        (("--config", wrong, "service", "install", "--user"), "did you mean threads?"),
        (("service", "install", "--root", tmp_path / "card", "--run-as", "nobody-at-all"), "there is no such user"),
        (("--config", two_lines, "service", "install", "--user"), "holds a line break"),
        (("service", "install", "--user", "--write", "out"), f"--write {tmp_path}/out: there is no such folder"),
        (
            ("service", "install", "--root", "card", "--write", tmp_path),
            f"--write {tmp_path}/card{tmp_path}: there is no",
        ),
    ):
        done = fer_edge(*words)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
        assert message in done.stderr
    assert os.listdir(tmp_path) == before
    monkeypatch.setenv("PATH", "/nowhere")
    done = fer_edge("service", "install", "--root", tmp_path / "card")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "systemctl is missing" in done.stderr
    (tmp_path / "card/out").mkdir(parents=True)
    dry = fer_edge("service", "install", "--dry-run", "--root", "card", "--write", "/out", "--network")
    assert dry.stdout.startswith("# 'fer-edge service install'")
    assert "ReadWritePaths=/out" in dry.stdout
    assert os.listdir(tmp_path / "card") == ["out"]


def broken(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a systemctl into the way that does as the script says with its last words."""
    tool = folder / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo a >&2; echo No such bus >&2; exit 1", "enable fer-edge.service' failed: No such bus"),
        ("exit 4", "failed: exit code 4"),
        ("exec sleep 9", "did not answer within 0.2 s"),
        ("case $* in *restart*) echo Job failed >&2; exit 1;; esac", "fer-edge.service' failed: Job failed"),
    ],
)
def test_a_refusal_of_systemds_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(manager, "TIMEOUT", 0.2 if "sleep" in script else LIMIT)
    monkeypatch.setattr(manager.ServiceManager, "is_reachable", lambda self: "restart" in script)
    broken(tmp_path, monkeypatch, f'case "$*" in *version*) echo systemd 252; exit;; esac\n{script}')
    done = fer_edge("service", "install", "--user")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
    assert message in done.stderr
    assert "start" not in done.stdout.splitlines()[-1]


def test_a_refusal_leaves_the_unit_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fer_edge("service", "install", "--root", tmp_path / "card").exit_code == 0
    broken(tmp_path, monkeypatch, "echo Access denied >&2; exit 1")
    assert "enabled: unknown" in fer_edge("service", "status", "--root", tmp_path / "card").stdout
    done = fer_edge("service", "uninstall", "--root", tmp_path / "card")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert (tmp_path / "card/etc/systemd/system" / NAME).is_file()


def test_a_mounted_card_may_be_named_from_where_one_stands(tmp_path: Path) -> None:
    for _ in range(2):
        done = fer_edge("service", "install", "--root", "card")
        assert done.exit_code == 0, done.output
    assert f"{CONFIGURED}/etc/fer-edge/fer-edge.toml\n" in (tmp_path / "card/etc/systemd/system" / NAME).read_text()


def test_a_users_service_that_needs_a_network_later_is_reported(tmp_path: Path) -> None:
    assert fer_edge("service", "install", "--user").exit_code == 0
    (tmp_path / "user/fer-edge/fer-edge.toml").write_text("[run]\nweb = '8080'\n")
    assert "needs a network, which the unit does not allow" in fer_edge("service", "status", "--user").stdout
    assert fer_edge("service", "install", "--user").exit_code == 0
    assert "needs a network" not in fer_edge("service", "status", "--user").stdout


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("source = 'gst:udpsrc port=5000 ! rtph264depay ! avdec_h264'", True),
        ("source = 'udpsrc port=5000 ! jpegdec ! appsink'", True),
        ("source = 'rtsp://camera/1'", True),
        ("mqtt = 'mqtt://broker/home'", True),
        ("source = 'party.mp4'", False),
        ("camera = 0", False),
    ],
)
def test_what_may_need_a_network_gets_one(tmp_path: Path, line: str, allowed: bool) -> None:
    """A pipeline names no address where one sees it."""
    path = tmp_path / "x.toml"
    (tmp_path / "party.mp4").touch()
    path.write_text(f"[run]\n{line.replace('party', str(tmp_path / 'party'))}\n")
    text = fer_edge("--config", path, "service", "install", "--dry-run").stdout
    assert ("AF_INET" in text, "PrivateNetwork=yes" in text) == (allowed, not allowed)
    refused = fer_edge("--config", path, "service", "install", "--dry-run", "--no-network").stdout
    assert "PrivateNetwork=yes" in refused


def test_the_file_of_the_working_folder_is_the_services(tmp_path: Path) -> None:
    """As it is every command's that is called there; the service keeps to it wherever it runs."""
    example = fer_edge("config", "--example").stdout
    (tmp_path / "fer-edge.toml").write_text(example)
    output = fer_edge("service", "install", "--user", "--no-start").stdout
    assert f"config: {tmp_path}/fer-edge.toml; after a change: systemctl --user restart fer-edge\n" in output
    assert f"--config {tmp_path}/fer-edge.toml run\n" in (tmp_path / "user/systemd/user" / NAME).read_text()
    assert not (tmp_path / "user/fer-edge").exists()


def test_systemds_tools_are_here() -> None:
    """.ci/run installs them: nothing above may pass for want of them."""
    assert shutil.which("systemd-analyze")
