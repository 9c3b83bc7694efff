"""fer-edge's version, and the git revision of a checkout."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.device.version import full_version, git_revision, package_version


def test_a_revision_is_marked_where_what_runs_was_changed(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    assert git_revision(tmp_path) is None
    assert full_version(tmp_path) == package_version()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    generated, code = [tmp_path / "README.md", tmp_path / "benchmarks" / "results" / "a.json"], tmp_path / "code.py"
    for path in (*generated, code):
        path.write_text("old")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = git_revision(tmp_path)
    assert clean is not None and re.fullmatch("[0-9a-f]{12}", clean)
    for path in (*generated, tmp_path / "untracked.py"):
        path.write_text("new")
    assert git_revision(tmp_path) == clean
    assert full_version(tmp_path) == f"{package_version()}+g{clean}"
    code.write_text("new")
    assert git_revision(tmp_path) == f"{clean}+"
    assert full_version(tmp_path) == f"{package_version()}+g{clean}.dirty"


def test_the_command_prints_the_full_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"fer-edge {full_version()}\n"
