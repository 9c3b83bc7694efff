"""docs/reliability.md names tests that exist, and every test of a fault stands there."""

from __future__ import annotations

import ast

from fault_tables import ROOT, page_text, rows

MARK = "pytest.mark.faults"


def marked_tests() -> set[tuple[str, str]]:
    """Test functions with `@pytest.mark.faults`, or in a module with that mark, as (path below `tests/`, name)."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        nodes = ast.parse(path.read_text("utf-8")).body
        whole = any(ast.unparse(node).startswith("pytestmark = ") and MARK in ast.unparse(node) for node in nodes)
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        for test in functions:
            if whole or any(MARK in ast.unparse(decorator) for decorator in test.decorator_list):
                found.add((str(path.relative_to(ROOT / "tests")), test.name))
    return found


def test_faults_and_their_tests_agree() -> None:
    named = {test for row in rows(page_text()) for test in row.tests}
    assert named == marked_tests()


def test_every_fault_has_a_test() -> None:
    assert [row.line for row in rows(page_text()) if not row.tests] == []
