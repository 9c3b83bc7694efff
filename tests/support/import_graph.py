"""Which part of the package imports which, read from the code: python tests/support/import_graph.py [ROOM] [--dot].

Without a ROOM: the rooms of the package. With one (edge, train …): its entries, a module or a sub-package each.
Every import counts, also one inside a function or for type checkers alone. --dot is for Graphviz.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("models", "edge", "train", "convert", "benchmarks")
PACKAGE = "fer_edge"


def imported_modules(path: Path) -> Iterator[str]:
    """The dotted names of the package's own modules that a file imports, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _is_module(name) else node.module for name in inner]
        else:
            continue
        yield from (name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}."))


def _is_module(dotted: str) -> bool:
    place = ROOT / Path(*dotted.split(".")[1:])
    return place.is_dir() or place.with_suffix(".py").is_file()


def entries(room: str = "") -> set[str]:
    """What lies at the top of a room: its modules and sub-packages; without a room, the rooms."""
    if not room:
        return set(ROOMS)
    top = ROOT / room
    return {path.stem for path in top.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}


def arrows(room: str = "") -> set[tuple[str, str]]:
    """(importing, imported) pairs of a room's entries; without a room, of rooms."""
    found = set()
    for path in [each for name in ([room] if room else ROOMS) for each in (ROOT / name).rglob("*.py")]:
        own = path.relative_to(ROOT).with_suffix("").parts
        for dotted in imported_modules(path):
            other = tuple(dotted.split("."))
            if not room:
                found.add((own[0], other[0]))
            elif other[0] == room and len(other) > 1:
                found.add((own[1], other[1]))
    return {(start, end) for start, end in found if start != end}


def modules_imported_from(room: str, other: str) -> set[str]:
    """The dotted modules of another room that a room imports."""
    paths = (ROOT / room).rglob("*.py")
    return {name for path in paths for name in imported_modules(path) if name.split(".")[0] == other}


def main(words: list[str]) -> None:
    """Print the graph."""
    room = next((word for word in words if not word.startswith("-")), "")
    pairs = sorted(arrows(room))
    if "--dot" in words:
        print("digraph imports {", *(f'  "{start}" -> "{end}";' for start, end in pairs), "}", sep="\n")
        return
    print(f"{room or 'rooms'}: {len(entries(room))} entries, {len(pairs)} arrows")
    for start in sorted({start for start, _ in pairs}):
        print(f"  {start} -> {', '.join(end for each, end in pairs if each == start)}")


if __name__ == "__main__":
    main(sys.argv[1:])
