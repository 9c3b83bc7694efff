"""Write the results of `make test-faults` into docs/reliability.md: `write_results.py JUNIT_XML`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from fault_tables import PAGE, page_text, rows


def outcomes(junit: Path) -> dict[tuple[str, str], Counter[str]]:
    """How often each test function passed, failed or was skipped, over its parameters."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for case in ElementTree.parse(junit).iter("testcase"):
        path = case.attrib["classname"].replace(".", "/").removeprefix("tests/") + ".py"
        verdicts = {"failure": "failed", "error": "failed", "skipped": "skipped"}
        verdict = next((verdicts[child.tag] for child in case if child.tag in verdicts), "passed")
        counts[path, case.attrib["name"].partition("[")[0]][verdict] += 1
    return counts


def result(counts: Counter[str], day: str) -> str:
    """One cell: `passed, 2026-12-01`."""
    if not counts:
        return f"not run, {day}"
    kinds = [kind for kind in ("failed", "skipped", "passed") if counts[kind]]
    words = [f"{counts[kind]} {kind}" if len(kinds) > 1 or kind == "failed" else kind for kind in kinds]
    return f"{', '.join(words)}, {day}"


def main() -> int:
    counts, day = outcomes(Path(sys.argv[1])), date.today().isoformat()
    text, complete = page_text(), True
    for row in rows(text):
        total: Counter[str] = sum((counts[test] for test in row.tests), Counter())
        complete = complete and set(total) == {"passed"}
        text = text.replace(row.line, row.with_result(result(total, day)))
    PAGE.write_text(text, "utf-8")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
