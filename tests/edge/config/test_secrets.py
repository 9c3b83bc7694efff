"""Secrets: never printed unless they are asked for, and not in files that others can read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fer_edge.edge.cli import main

pytestmark = pytest.mark.faults

SECRET = """\
[run]
source = "rtsp://maker:S3CRET one!@camera/1?token=S3CRET"
web-token = "S3CRET-web-token"
mqtt = "mqtts://maker:S3CRET/two@broker/home"
on = [["happy", "curl -H 'X-Key: S3CRET' http://maker:S3CRET@host/"], ["sad", "S3CRET"]]
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def fer_edge(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(main, list(words), env=environ)


def test_config_masks_secrets_unless_they_are_asked_for(tmp_path: Path) -> None:
    """What it prints is TOML in both cases."""
    (tmp_path / "fer-edge.toml").write_text(SECRET)
    masked = fer_edge("config", "run").stdout
    assert "S3CRET" not in masked
    values = tomllib.loads(masked)["run"]
    assert values["web-token"] == "…" and values["on"] == [["…", "…"], ["…", "…"]]
    assert "broker" in values["mqtt"] and "camera" in values["source"]
    shown = tomllib.loads(fer_edge("config", "run", "--show-secrets").stdout)["run"]
    assert tomllib.loads(SECRET)["run"].items() <= shown.items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUN_SOURCE", "rtsp://maker:S3CRET one!@camera/1"),
        ("RUN_WEB_TOKEN", "S3CRET-web-token"),
        ("WEB_TOKEN", "S3CRET-web-token"),
        ("RUN_MQTT", "mqtt://maker:S3CRET@broker/home"),
        ("RUN_ON", "happy 'curl S3CRET'"),
        ("MQTT_PASSWORD", "S3CRET"),
    ],
)
def test_config_masks_secrets_of_the_environment(name: str, value: str) -> None:
    done = fer_edge("config", "run", **{f"FER_EDGE_{name}": value})
    assert done.exit_code == 0 and "S3CRET" not in done.output


@pytest.mark.parametrize(
    "words",
    [
        ("--on", "happy", "nothing-of-that-name --key S3CRET"),
        ("--on", "happy", "'S3CRET"),
        ("--mqtt", "mqtt://maker:S3CRET@broker:99999/home"),
        ("--mqtt", "http://maker:S3CRET@broker/home"),
        ("--source", "rtsp://maker:S3CRET two@[camera/1"),
        ("--web", "127.0.0.1:99999", "--web-token", "S3CRET-web-token"),
    ],
    ids=lambda words: words[0],
)
def test_no_error_repeats_a_secret(words: tuple[str, ...], clip: Path) -> None:
    source = () if words[0] == "--source" else ("--source", str(clip))
    done = fer_edge("run", *source, "--show", "none", *words)
    assert done.exit_code == 2 and "S3CRET" not in done.output
