"""The walls of the house: packages say what they are for, stay small, and form no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("desk", "forms", "models", "producer", "people", "worker", "trainer")
TOPS = ("inkmill", *(f"inkmill.{room}" for room in ROOMS))
#: A folder with more modules than this is cut into sub-packages. The commands are one module each.
MOST_MODULES = 14
FLAT = {"inkmill/cli/commands"}


def sources() -> dict[str, Path]:
    """Module -> file, under the names by which they are imported."""
    found: dict[str, Path] = {}
    for top in ("inkmill", *ROOMS):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if top == "inkmill" else ("inkmill", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


SOURCES = sources()


def package_of(module: str) -> str:
    """The sub-package that a module belongs to; right below a room, the module itself."""
    while module not in SOURCES:
        module = module.rpartition(".")[0]
    above = module.rpartition(".")[0]
    is_package = SOURCES[module].name == "__init__.py"
    return module if is_package or above in TOPS else above


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, inside functions and for types as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("inkmill"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inkmill"):
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if inner in SOURCES else str(node.module)


def graph() -> dict[str, set[str]]:
    """Package -> packages that it imports. The faces of the rooms lead everywhere, by design."""
    found: dict[str, set[str]] = {}
    for module, path in SOURCES.items():
        if module in TOPS:
            continue
        here = package_of(module)
        there = {package_of(each) for each in imported(path)} - {here, *TOPS}
        found.setdefault(here, set()).update(there)
    return found


def in_circles(edges: dict[str, set[str]]) -> dict[str, list[str]]:
    """What is left when whoever imports none, or is imported by none, is taken away."""
    while True:
        entered = set().union(*edges.values()) if edges else set()
        kept = {each for each, there in edges.items() if there & edges.keys() and each in entered}
        if kept == edges.keys():
            return {each: sorted(there) for each, there in edges.items()}
        edges = {each: edges[each] & kept for each in kept}


def test_circles_are_found() -> None:
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": set()}) == {}
    circle = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}
    assert in_circles(circle) == {"b": ["c"], "c": ["b"]}


def test_no_circles_between_packages() -> None:
    assert in_circles(graph()) == {}, "these import each other, round and round"


@pytest.mark.parametrize("package", [m for m, p in SOURCES.items() if p.name == "__init__.py"])
def test_a_package_says_what_it_is_for(package: str) -> None:
    said = ast.get_docstring(ast.parse(SOURCES[package].read_text(encoding="utf-8"))) or ""
    assert len(said.split()) > 5, "one sentence at least: what flows through, who may enter"


def test_no_folder_holds_too_many_modules() -> None:
    crowded = {}
    for folder in {path.parent for path in SOURCES.values()}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        name = str(folder.relative_to(ROOT))
        if len(modules) > MOST_MODULES and name not in FLAT:
            crowded[name] = len(modules)
    assert crowded == {}
