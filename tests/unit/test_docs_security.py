"""Each test that docs/explanation/security.md names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/security.md"


def _named() -> list[str]:
    return re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE.read_text(encoding="utf-8"))


def _there(name: str) -> bool:
    path, _, test = name.partition("::")
    if not (ROOT / path).exists():
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(isinstance(each, ast.FunctionDef) and each.name == test for each in ast.walk(tree))


def test_every_test_is_there() -> None:
    assert [name for name in _named() if not _there(name)] == []


def test_every_defence_names_a_test() -> None:
    table = (
        PAGE.read_text(encoding="utf-8").split("## Defences and their tests")[1].split("\n## ")[0]
    )
    rows = [line for line in table.splitlines() if line.startswith("| ") and "**" not in line][2:]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::\w+`", row)] == []


def test_the_checks_above_can_fail() -> None:
    assert not _there("tests/unit/test_docs_security.py::test_nothing")
    assert not _there("tests/unit/test_nowhere.py::test_every_test_is_there")
