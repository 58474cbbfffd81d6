"""What is packed and installed: every room, under inkmill."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]


def packages_on_disk() -> set[str]:
    return {
        ".".join((room, *file.parent.relative_to(ROOT / folder).parts))
        for room, folder in ROOMS.items()
        for file in (ROOT / folder).rglob("*.py")
    }


def test_every_package_is_listed() -> None:
    listed, found = set(PROJECT["tool"]["setuptools"]["packages"]), packages_on_disk()
    missing, gone = sorted(found - listed), sorted(listed - found)
    assert not missing, f"add to [tool.setuptools] packages in pyproject.toml: {missing}"
    assert not gone, f"remove from [tool.setuptools] packages in pyproject.toml: {gone}"


def test_every_room_is_known_to_the_type_checker_and_to_docker() -> None:
    folders = set(ROOMS.values())
    (rooms,) = re.findall(r"^ROOMS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*rooms.split(), "inkmill"} == folders, "ROOMS in the Makefile"
    sent = re.findall(r"^!(\w+)/$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(sent) == folders | {"requirements"}, ".dockerignore"


def test_version_is_said_once_and_the_same() -> None:
    import inkmill

    assert PROJECT["project"]["version"] == inkmill.__version__


def test_changelog_speaks_of_this_version() -> None:
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves its own folders in the tree it builds from."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ROOMS.values():
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore, symlinks=True)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    built = subprocess.run([*command, out, copy], capture_output=True, text=True)
    if built.returncode and not os.environ.get("CI"):
        pytest.skip(f"no wheel was built, which needs setuptools from an index: {built.stderr}")
    assert not built.returncode, built.stderr
    return next(out.glob("*.whl"))


def test_wheel_holds_every_room_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        "/".join((*room.split("."), *file.relative_to(ROOT / folder).parts))
        for room, folder in ROOMS.items()
        for file in (ROOT / folder).rglob("*.py")
    }
    assert expected <= held
    assert all(name.startswith(("inkmill/", "inkmill-")) for name in held)
    assert {name for name in held if name.endswith(".py")} == expected


def test_wheel_holds_what_the_code_reads(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        "/".join((*room.split("."), *file.relative_to(ROOT / folder).parts))
        for room, folder in ROOMS.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert {"inkmill/py.typed", "inkmill/models/pretrained/weights.safetensors"} <= shipped
    assert shipped <= held, "name it in pyproject.toml's package-data"
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_wheel_installs_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """Beside a script of the user's own that is called producer.py, as people call theirs."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    site = next((tmp_path / "env/lib").glob("python*/site-packages"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, site, wheel], check=True, capture_output=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "producer.py").write_text(
        "import inkmill, inkmill.producer, inkmill.backends.queue.channel\n"
        "print(inkmill.__file__)\n"
        "print(inkmill.submit.__module__, inkmill.submit is inkmill.producer.submit)\n"
    )
    # Its dependencies are those of this environment, where inkmill itself is found only by a
    # hook that PYTHONPATH does not run.
    dependencies = Path(str(distribution("click").locate_file("")))
    said = subprocess.run(
        [python, "producer.py"],
        cwd=mine,
        env={"PYTHONPATH": str(dependencies), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert not said.returncode, said.stderr
    where, how = said.stdout.splitlines()
    assert Path(where).is_relative_to(site)
    assert how == "inkmill.producer.submission.submit True"


#: What a producer does before it meets a server, in a process that finds only ``allowed``.
_PRODUCER = """
import importlib.abc, sys

class OnlyAllowed(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if top in INSTALLED and top not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

INSTALLED, ALLOWED = set(sys.argv[1].split()), set(sys.argv[2].split())
sys.meta_path.insert(0, OnlyAllowed())

import inkmill.cli.main
from inkmill.cli.commands import doctor, jobs, watch
from inkmill import submit, wait, results, cancel, delete
from inkmill.template.form import Form
from inkmill.producer.tables import columns, writers
from inkmill.backends.broker import celery_app, connect
from inkmill.settings import Settings
from inkmill.backends.store import s3_client

settings = Settings(s3_endpoint="http://127.0.0.1:9")
connect(settings), s3_client(settings)
connection = celery_app(settings).connection_for_write()
connection.transport_options.update(max_retries=1, interval_start=0)
connection.default_channel
"""


def closure(requirements: list[str]) -> set[str]:
    """Names of all distributions that these requirements bring along."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[tuple[str, str]] = set()
    pending = [(Requirement(each), "") for each in requirements]
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), wanted)
            if key not in found:
                found.add(key)
                needs = requires(requirement.name) or []
                pending += [(Requirement(each), wanted) for each in needs]
    return {name for name, _ in found}


def test_a_producer_needs_the_base_dependencies_alone() -> None:
    """What is imported may come only from what ``pip install inkmill`` installs."""
    from importlib.metadata import packages_distributions

    from packaging.utils import canonicalize_name

    brought = closure(PROJECT["project"]["dependencies"])
    owners = {
        module: {canonicalize_name(name) for name in names}
        for module, names in packages_distributions().items()
    }
    allowed = {module for module, names in owners.items() if names & brought} | {"inkmill"}
    said = subprocess.run(
        [sys.executable, "-c", _PRODUCER, " ".join(owners), " ".join(allowed)],
        capture_output=True,
        text=True,
    )
    # The last step reaches for a Redis that is not there, after all its imports.
    assert "ModuleNotFoundError" not in said.stderr, said.stderr
    assert (
        "OperationalError" in said.stderr
        or "ConnectionError" in said.stderr
        or (not said.returncode)
    ), said.stderr
