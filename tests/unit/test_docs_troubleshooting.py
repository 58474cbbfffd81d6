"""Each message in docs/troubleshooting.md is one that the code can print."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.unit.test_packaging import PROJECT, ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
_GAP = "\0"


def messages() -> list[str]:
    """The first cell of each row, without its backticks."""
    return re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)


@cache
def texts() -> str:
    """Every text in the product's code, one a line, with a gap for each value that is put in."""
    found: set[str] = set()
    for folder in PROJECT["tool"]["setuptools"]["package-dir"].values():
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                found.add(_text(node))
    return "\n".join(found)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or _GAP for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[\w.]*[sdf]", _GAP, node.value).replace("\n", " ")
    return ""


def can_be_said(message: str) -> bool:
    """Whether one text of the code has all parts of the message, in their order."""
    parts = [re.escape(part) for part in message.split("…")]
    return re.search(".*".join(parts), texts()) is not None


@pytest.mark.parametrize("message", messages())
def test_the_code_can_say_it(message: str) -> None:
    assert can_be_said(message), "reworded or gone: change docs/troubleshooting.md"


def test_the_checks_above_can_fail() -> None:
    assert len(messages()) >= 100
    assert not can_be_said("job … is not finished: and never will be")


def test_messages_are_in_the_order_of_their_words() -> None:
    for section in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
        words = [re.sub(r"[^a-z0-9 ]", "", row.lower()).split() for row in rows]
        assert words == sorted(words), section.partition("\n")[0]
