"""Rooms import only what docs/explanation/architecture.md allows, and a producer stays light."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("desk", "forms", "models", "producer", "people", "worker", "trainer")


def allowed() -> dict[str, set[str]]:
    """Room -> rooms it may import, by the table in docs/explanation/architecture.md."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "docs/explanation/architecture.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 3 and re.fullmatch(r"[a-z/]+/", cells[0]):
            words = set(re.findall(r"[a-z]+", cells[2]))
            found[cells[0].rstrip("/")] = (
                {*ROOMS, "inkmill"} if "all" in words else words & {*ROOMS, "inkmill"}
            )
    return found


def imports(path: Path, room: str) -> Iterator[str]:
    """The modules of ours that a file imports, whether at the top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:
                yield f"inkmill.{room}"
            elif node.module == "inkmill":
                yield from (f"inkmill.{alias.name}" for alias in node.names)
            else:
                yield node.module


def rooms_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "inkmill":
        return None
    if len(parts) > 1 and parts[1] in (*ROOMS, "cli"):
        return parts[1]
    return "inkmill"


def test_the_table_names_every_room() -> None:
    table = allowed()
    assert set(table) == {"inkmill", "inkmill/cli", *ROOMS}
    assert table["inkmill"] == set()
    assert table["producer"] == {"inkmill"}
    assert table["worker"] == {"inkmill", "forms", "models"}


@pytest.mark.parametrize("room", ["inkmill", *ROOMS])
def test_a_room_imports_only_what_it_may(room: str) -> None:
    may = allowed()[room] | {room}
    wrong = []
    for path in sorted((ROOT / room).rglob("*.py")):
        below = path.relative_to(ROOT)
        if below.parts[:2] == ("inkmill", "cli"):
            continue
        # The public API and `python -m inkmill` lead on to other rooms, when they are used.
        if str(below) in ("inkmill/__init__.py", "inkmill/__main__.py"):
            continue
        for module in imports(path, room):
            other = rooms_of(module)
            if other is not None and other not in may:
                wrong.append(f"{below} imports {module}")
    assert wrong == []


#: What an engine must not reach: it decodes strangers' files, so it has neither credentials, nor
#: settings, nor a way to the store or the queue.
OUT_OF_REACH = (
    "inkmill.backends",
    "inkmill.settings",
    "inkmill.lifecycle",
    "inkmill.producer",
    "boto3",
    "botocore",
    "redis",
    "celery",
    "kombu",
)
#: Package of the worker -> the packages of the worker that it may import.
WALLS = {
    "engine": ("confinement", "engine", "link"),
    "device": ("confinement", "device", "link"),
    "link": ("link",),
}


def lies_in(module: str, packages: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def crossings(source: str, package: str) -> list[str]:
    """The imports of a module in worker/``package`` that its wall forbids."""
    may = [f"inkmill.worker.{each}" for each in WALLS[package]]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [
        module
        for module in found
        if lies_in(module, OUT_OF_REACH)
        or (lies_in(module, ["inkmill.worker"]) and not lies_in(module, may))
    ]


@pytest.mark.parametrize("package", WALLS)
def test_an_engine_reaches_neither_servers_nor_settings(package: str) -> None:
    wrong = {
        path.name: found
        for path in sorted((ROOT / "worker" / package).rglob("*.py"))
        if (found := crossings(path.read_text(encoding="utf-8"), package))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "import redis.asyncio",
        "from inkmill import settings",
        "from inkmill.backends.store import Store",
        "from inkmill.worker import pool",
        "from inkmill.worker.chunk.context import Context",
        "if TYPE_CHECKING:\n    from inkmill.settings import Settings",
        "def late():\n    import boto3",
    ],
)
def test_the_wall_is_seen_wherever_an_import_stands(line: str) -> None:
    assert len(crossings(line, "engine")) == 1
    assert crossings("from inkmill.worker import link\nimport redistribution", "engine") == []
    assert crossings("from inkmill.worker.engine import main", "link") != []


def test_an_engine_loads_neither_servers_clients_nor_settings() -> None:
    loaded = loaded_by("import inkmill.worker.engine.main")
    assert "inkmill.worker.engine.digits" in loaded
    assert [module for module in sorted(loaded) if lies_in(module, OUT_OF_REACH)] == []


def test_a_page_counter_loads_neither_servers_clients_nor_settings() -> None:
    """A producer's, which parses strangers' files like an engine."""
    loaded = loaded_by("import inkmill.imagefile.apart as apart; apart.confine(2**33)")
    assert "pypdfium2" in loaded
    assert [module for module in sorted(loaded) if lies_in(module, OUT_OF_REACH)] == []


HEAVY = ("tensorflow", "keras", "cv2", "matplotlib", "sklearn")
#: What even a producer needs only once it reads or writes something.
LATE = ("pyarrow", "boto3", "celery", "pydantic", "pypdfium2", "PIL", "rich", "jinja2")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["inkmill", "inkmill.producer", "inkmill.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import {module}") & {*HEAVY, *LATE} == set()


def test_a_whole_submit_loads_neither_tensorflow_nor_opencv(tmp_path: Path) -> None:
    statement = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
        "from pathlib import Path\n"
        "from tests.fakes import FakeCluster, png\n"
        "from inkmill import submit, results\n"
        f"Path({str(tmp_path)!r}, '1.png').write_bytes(png(1))\n"
        "cluster = FakeCluster()\n"
        f"job = submit({str(tmp_path)!r}, connection=cluster.connection)\n"
        "assert cluster.work() == 1 and len(list(results(job, connection=cluster.connection))) == 1"
    )
    assert loaded_by(statement) & set(HEAVY) == set()


def test_the_public_functions_are_there_under_their_names() -> None:
    import inkmill

    for name in inkmill.__all__:
        assert getattr(inkmill, name) is not None
    assert callable(inkmill.submit)
    assert callable(inkmill.status)
    with pytest.raises(AttributeError, match="no attribute 'never'"):
        inkmill.never  # noqa: B018
