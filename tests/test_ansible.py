"""The Ansible role of examples/: its variables, its templates and its check of health, without Ansible.

`make test-ansible` runs the role itself on two machines.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.models import FOLDER

EXAMPLE = FOLDER.parent / "examples" / "ansible"
ROLE = EXAMPLE / "roles" / "fer_edge"

LINES = st.text(st.characters(exclude_categories=("C",), exclude_characters="\u2028\u2029\x85"))
"""Text without line breaks and control characters."""

KEYS = st.sampled_from(("run", "predict", "web", "mqtt-id", "on"))
VALUES = LINES | st.booleans() | st.integers(-(2**31), 2**31) | st.lists(st.tuples(LINES, LINES).map(list), max_size=2)


@pytest.fixture(scope="module")
def health() -> ModuleType:
    """check_health.py as a module."""
    spec = spec_from_file_location("check_health", ROLE / "files" / "check_health.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["check_health"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@cache
def template(name: str) -> jinja2.Template:
    """One of the role's templates, with Ansible's filter and its way with line breaks."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)  # files, not HTML: # nosec B701
    environment.filters["to_json"] = json.dumps
    return environment.from_string((ROLE / "templates" / name).read_text("utf-8"))


def test_all_files_are_yaml() -> None:
    files = [*EXAMPLE.rglob("*.yml")]
    assert len(files) > 10
    assert all(yaml.safe_load(path.read_text("utf-8")) for path in files)


def test_every_variable_is_described() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text("utf-8"))
    described = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text("utf-8"))["argument_specs"]
    assert {*defaults, "fer_edge_version"} == set(described["main"]["options"])
    assert set(described["rollback"]["options"]) <= set(defaults)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=2))
def test_the_configuration_is_toml(tables: dict[str, Any]) -> None:
    assert tomllib.loads(template("fer-edge.toml.j2").render(fer_edge_config=tables)) == tables


@settings(max_examples=50, deadline=None)
@given(LINES)
def test_the_check_reads_the_token_that_was_written(health: ModuleType, token: str) -> None:
    variables = {"A": "x", "FER_EDGE_WEB_TOKEN": token, "Z": "y"}
    text = template("environment.j2").render(fer_edge_environment=variables)
    assert health.find_token(text) == token


class Page(ThreadingHTTPServer):
    """Answers as a live page with so many more frames at each look.

    Attributes:
        tokens: The headers that /metrics was asked with.
    """

    def __init__(self, version: str, *frames: int, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.version, self.frames, self.status = version, list(frames), status
        self.count = 100
        self.tokens: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    server: Page

    def do_GET(self) -> None:
        status, text = self.server.status, "waiting" if self.server.status == 503 else "running"
        if self.path == "/metrics":
            self.server.tokens.append(self.headers["Authorization"])
            self.server.count += self.server.frames.pop(0)
            status = 200
            text = f'fer_edge_build_info{{version="{self.server.version}"}} 1.0\n'
            text += f"fer_edge_frames_total {self.server.count}.0\n"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def served(page: Page) -> Iterator[str]:
    """The address of a page that is served meanwhile."""
    thread = Thread(target=page.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{page.server_address[1]}"
    finally:
        page.shutdown()
        thread.join()
        page.server_close()


@pytest.fixture
def check(health: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Checks version 0.2.0, whose process systemd and /proc are made to show; gives the line that is printed."""

    def run(page: Page, state: str = "active", folder: str = "/opt/fer-edge/versions/0.2.0/bin/python") -> str:
        shown = {"ActiveState": state, "SubState": "running", "StatusText": "25 frames/s"}
        shown |= {"NRestarts": "0", "MainPID": "1"}
        monkeypatch.setattr(health, "unit_state", lambda: shown)
        monkeypatch.setattr(health, "command_line", lambda process: [folder, "-m", "fer_edge.edge.cli"])
        with served(page) as address:
            (tmp_path / "release.json").write_text(json.dumps({"version": "0.2.0", "page": address}))
            (tmp_path / "environment").write_text('FER_EDGE_WEB_TOKEN="a\\"b"\n')
            try:
                return str(health.check_health(health.read_release(tmp_path), timeout=0, settle=0))
            except health.NotWellError as error:
                return f"not well: {error}"

    return run


def test_a_release_whose_frames_go_on_is_well(check: Callable[..., str]) -> None:
    page = Page("0.2.0", 5, 5, 1)
    assert check(page) == "version 0.2.0 is well: 25 frames/s"
    assert page.tokens == ['Bearer a"b'] * 3


@pytest.mark.parametrize(
    ("page", "state", "folder", "reason"),
    [
        (lambda: Page("0.2.0", 5), "activating", "0.2.0", "activating"),
        (lambda: Page("0.2.0", 5), "active", "0.1.0", "and not version 0.2.0"),
        (lambda: Page("0.2.0", 5, status=503), "active", "0.2.0", "/healthz: 503 waiting"),
        (lambda: Page("0.1.0", 5), "active", "0.2.0", "that of version 0.1.0"),
        (lambda: Page("0.2.0", 5, 0), "active", "0.2.0", "no frame was processed"),
        (lambda: Page("0.2.0", 5, 5, 0), "active", "0.2.0", "no frame was processed"),
    ],
    ids=["not active", "another version's process", "503", "another version's page", "stalled", "stalled later"],
)
def test_a_release_is_not_well(
    check: Callable[..., str], page: Callable[[], Page], state: str, folder: str, reason: str
) -> None:
    line = check(page(), state, f"/opt/fer-edge/versions/{folder}/bin/python")
    assert line.startswith("not well: ") and reason in line and "\n" not in line


def test_no_answer_is_no_status(health: ModuleType) -> None:
    status, text = health.fetch("http://127.0.0.1:1/healthz", None)
    assert status == 0 and "refused" in text
