"""The documentation: its command lines exist, its links lead somewhere."""

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
    """What follows `fer-edge` in code blocks and in spans of code, up to a comment or a pipe."""
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [re.search(r"(?:^|\s)fer-edge ([a-z][^#|`]*)", line) for line in [*blocks.splitlines(), *spans]]
    return [match[1].strip() for match in found if match]


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
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, target


def test_three_commands_lead_from_nothing_to_the_page() -> None:
    """Those that .ci/newcomer times; the line for a bare Debian comes before them."""

    def listed(*words: str) -> list[str]:
        done = subprocess.run([sys.executable, ROOT / ".ci" / "newcomer", "--list", *words], capture_output=True)
        return done.stdout.decode().splitlines()

    clone, *rest = listed()
    assert clone.startswith("git clone ADDRESS ")
    assert rest == [f"cd {clone.split()[-1]}", "make page"]
    (packages, *others) = listed("--apt")
    assert others == [clone, *rest]
    assert {"git", "make", "python3-venv"} <= set(packages.split())
