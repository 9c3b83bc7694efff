"""docs/reliability.md names tests that exist, and every test of a fault stands there."""

from __future__ import annotations

import ast

from fault_tables import ROOT, page_text, rows


def marked_tests() -> set[tuple[str, str]]:
    """Test functions with `@pytest.mark.faults`, as (path below `tests/`, name)."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        whole = any(
            isinstance(node, ast.Assign) and "pytest.mark.faults" in ast.unparse(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        )
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                if whole or any(ast.unparse(each).startswith("pytest.mark.faults") for each in node.decorator_list):
                    found.add((str(path.relative_to(ROOT / "tests")), node.name))
    return found


def test_faults_and_their_tests_agree() -> None:
    named = {test for row in rows(page_text()) for test in row.tests}
    assert named == marked_tests()


def test_every_fault_has_a_test() -> None:
    assert [row.line for row in rows(page_text()) if not row.tests] == []
