"""What a service's configuration asks for is checked when it is installed: a service that cannot run is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from network_camera import PORTRAIT

from fer_edge.edge.cli import main
from fer_edge.edge.service.systemd_unit import NAME

pytestmark = [pytest.mark.system, pytest.mark.faults]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file and no unit of this machine's user is touched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def fer_edge(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def install(folder: Path, lines: str, *words: str | Path) -> Result:
    """A dry run with a file that has these lines under [run]."""
    path = folder / "net.toml"
    path.write_text(f"[run]\n{lines}\n")
    return fer_edge("--config", path, "service", "install", "--dry-run", *words)


def problem(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('show = "window"', "a service has no screen"),
        ('jsonl = "/home/pi/faces.jsonl"', "give --write /home/pi"),
        ('csv = "/srv/faces.csv"', "give --write /srv"),
        ('save-video = "/tmp/faces.mp4"', "give --write /tmp"),
        ('save-picture = "/var/lib/fer-edge/../x.png"', "give --write /var/lib"),
        ('snapshot-dir = "~/snapshots"', "~ is another folder"),
        ('snapshot-dir = "../snapshots"', "give --write /var/lib"),
        ('source = "party.mp4"', "relative paths start at /var/lib/fer-edge"),
        ('source = "~/party.mp4"', "~ is another folder"),
        ('source = "/home/nobody/party.mp4"', "there is no /home/nobody/party.mp4"),
        ('model = "/home/nobody/m.tflite"', "there is no /home/nobody/m.tflite"),
        ('model = "m.tflite"', "relative paths start at /var/lib/fer-edge"),
        ('mqtt = "mqtts://host/x"\nmqtt-ca = "/home/nobody/ca.pem"', "there is no /home/nobody/ca.pem"),
        ('source = "https://host/"\nsource-ca = "/home/nobody/ca.pem"', "there is no /home/nobody/ca.pem"),
        ('web = "80"', "a service may listen from port"),
        ('web = "0.0.0.0:443"', "a service may listen from port"),
        ('on = [["happy", "no-such-program x"]]', "there is no such program"),
        ('on = [["happy", "./play.sh"]]', "give the program's whole path"),
    ],
)
def test_what_a_service_cannot_do_is_one_line_at_its_installation(tmp_path: Path, lines: str, why: str) -> None:
    line = problem(install(tmp_path, lines))
    assert line.startswith("fer-edge: [run] ") and why in line


@pytest.mark.parametrize(
    "lines",
    [
        'show = "none"\njsonl = "faces.jsonl"\nsave-video = "videos/faces.mp4"\nsnapshot-dir = "snapshots"',
        'csv = "/var/lib/fer-edge/faces.csv"\njsonl = "-"',
        'model = "mobilenet_v2"\ncamera = 0\nweb = "8080"',
        'source = "gst:videotestsrc ! appsink"',
        'source = "rtsp://camera/1"',
        'on = [["happy", "true"], ["sad", "sh -c \'exit 1\'"]]',
    ],
)
def test_what_a_service_can_do_is_installed(tmp_path: Path, lines: str) -> None:
    done = install(tmp_path, lines)
    assert done.exit_code == 0, done.stderr


def test_files_that_a_service_reads_are_visible_to_it(tmp_path: Path) -> None:
    """In a home, or in the folder for temporary files, of which it sees nothing else."""
    clip, authority = tmp_path / "clip.mp4", tmp_path / "ca.pem"
    for file in (clip, authority):
        file.touch(0o644)
    text = install(tmp_path, f"source = '{clip}'\nsource-ca = '{authority}'").stdout
    assert all(f"BindReadOnlyPaths={file}\n" in text for file in (clip, authority))
    clip.chmod(0o600)
    assert "cannot read" in problem(install(tmp_path, f"source = '{clip}'"))
    assert install(tmp_path, f"source = '{clip}'", "--run-as", "root").exit_code == 0


def test_all_files_of_a_model_are_visible_to_a_service(model_folder: Path) -> None:
    """Its card, too, and an ensemble's networks with theirs."""
    for file in model_folder.iterdir():
        file.chmod(0o644)
    for name, count in (("mobilenet_v2_int8.tflite", 2), ("ensemble.json", 7)):
        text = install(model_folder, f"model = '{model_folder / name}'").stdout
        assert text.count(f"BindReadOnlyPaths={model_folder}/") == count
    card = model_folder / "mobilenet_v2_int8.json"
    card.unlink()
    for name in ("mobilenet_v2_int8.tflite", "ensemble.json"):
        assert f"there is no {card}" in problem(install(model_folder, f"model = '{model_folder / name}'"))


def test_a_folder_of_write_is_writable_for_the_services_user(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    lines = f'jsonl = "{folder}/faces.jsonl"'
    assert f"--write {folder}" in problem(install(tmp_path, lines))
    assert "cannot write to it" in problem(install(tmp_path, lines, "--write", folder))
    folder.chmod(0o777)
    assert install(tmp_path, lines, "--write", folder).exit_code == 0
    (tmp_path / "link").symlink_to(folder)
    linked = f'jsonl = "{tmp_path}/link/faces.jsonl"'
    assert install(tmp_path, linked, "--write", tmp_path / "link").exit_code == 0
    assert install(tmp_path, linked, "--write", folder).exit_code == 0


def test_a_users_service_may_do_what_the_user_may(tmp_path: Path) -> None:
    assert "no screen" in problem(install(tmp_path, 'show = "window"', "--user"))
    assert install(tmp_path, f"jsonl = '{tmp_path}/x'\nsource = '{PORTRAIT}'", "--user").exit_code == 0


def test_status_reports_what_a_service_cannot_do(tmp_path: Path) -> None:
    """The file was changed after the installation."""
    assert fer_edge("service", "install", "--root", "card").exit_code == 0
    (tmp_path / "card/etc/fer-edge/fer-edge.toml").write_text('[run]\nshow = "window"\n')
    assert "configuration: [run] show" in fer_edge("service", "status", "--root", "card").stdout


def test_a_file_from_outside_is_copied_below_another_root(tmp_path: Path) -> None:
    """And not ignored; one that is there already is not replaced."""
    (tmp_path / "net.toml").write_text("[run]\nweb = '8080'\n")
    words = ("--config", "net.toml", "service", "install", "--root", "card")
    assert "AF_INET" in fer_edge(*words, "--dry-run").stdout
    for _ in range(2):
        done = fer_edge(*words)
        assert done.exit_code == 0 and "network: allowed" in done.stdout, done.output
    there = tmp_path / "card/etc/fer-edge/fer-edge.toml"
    assert there.read_text() == "[run]\nweb = '8080'\n"
    assert (
        f"LoadCredential=fer-edge.toml:/etc/fer-edge/{there.name}\n"
        in (tmp_path / "card/etc/systemd/system" / NAME).read_text()
    )
    (tmp_path / "net.toml").write_text("[run]\nweb = '8081'\n")
    assert "differs from" in problem(fer_edge(*words))
    assert "8080" in there.read_text()
    assert "no such file" in problem(fer_edge("--config", "none.toml", *words[2:]))


def test_files_of_a_service_are_its_owners_alone(tmp_path: Path) -> None:
    """A password may be added at any time."""
    assert fer_edge("service", "install", "--root", "card").exit_code == 0
    assert os.stat(tmp_path / "card/etc/fer-edge/fer-edge.toml").st_mode & 0o077 == 0


@pytest.mark.parametrize("line", ["web-token = 'S3CRET-S3CRET'", "source = 'rtsp://maker:S3CRET@host/'"])
def test_a_secret_that_others_can_read_is_reported(tmp_path: Path, line: str) -> None:
    path = tmp_path / "fer-edge.toml"
    path.write_text(f"[run]\n{line}\n")
    path.chmod(0o644)
    warned = fer_edge("config").stderr
    assert "chmod 600" in warned and "S3CRET" not in warned
    installed = fer_edge("service", "install", "--user", "--no-start").stdout
    assert "chmod 600" in installed and "S3CRET" not in installed
    path.chmod(0o600)
    assert fer_edge("config").stderr == ""
