"""The documentation: its command lines and links exist, and README can be read in three minutes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fer_edge.edge.cli import main
from fer_edge.models import FOLDER

ROOT = FOLDER.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *FOLDER.rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def command_lines(text: str) -> list[str]:
    """The words after `fer-edge` in code blocks and code spans, up to a comment or a pipe; a line may go on below."""
    text = text.replace("\\\n", "")
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [*blocks.replace("\\\n", " ").splitlines(), *(" ".join(span.split()) for span in spans)]
    matches = [re.search(r"(?:^|\s)fer-edge ([a-z][^#|`]*)", line) for line in lines]
    return [match[1].strip() for match in matches if match]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_command_lines_exist(page: Path) -> None:
    for line in command_lines(page.read_text("utf-8")):
        words = shlex.split(line)
        command: click.Command | None = main
        while isinstance(command, click.Group) and words:
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, f"fer-edge {line}: no such command"
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        unknown = {word for word in words if word.startswith("--")} - options - {"--help"}
        assert not unknown, f"fer-edge {line}: no such option"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, target


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 900


def test_readme_begins_with_three_commands_to_the_page() -> None:
    """.ci/newcomer times them; the line for a bare Debian comes before them."""

    def commands(*words: str) -> list[str]:
        command = [sys.executable, ROOT / ".ci" / "newcomer", "--list", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    clone, *rest = commands()
    assert clone.startswith("git clone --depth 1 ADDRESS ")
    assert rest == [f"cd {clone.split()[-1]}", "make page"]
    packages, *others = commands("--apt")
    assert others == [clone, *rest]
    assert {"git", "make", "python3-venv"} <= set(packages.split())
