"""Dependencies: pinned with hashes, the same in images and for developers, with their licences."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.supply import IMAGES, ROOT, pinned, verdict

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SETS = {
    "producer": ["xlsx"],
    "desk": ["desk", "xlsx"],
    "worker": ["worker"],
    "worker-openvino": ["worker", "openvino"],
    "worker-gpu": ["worker", "gpu"],
    "trainer": ["trainer"],
    "trainer-gpu": ["trainer", "gpu"],
    "demo": ["worker", "local"],
    "dev": ["dev"],
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for with these extras, its own extras followed."""
    found = [Requirement(each) for each in PROJECT["dependencies"]]
    for extra in extras:
        for each in map(Requirement, EXTRAS[extra]):
            found += wanted(sorted(each.extras)) if each.name == "inkmill" else [each]
    return found


@pytest.mark.parametrize("name", SETS)
def test_a_set_pins_what_is_asked_for(name: str) -> None:
    pins = pinned(name)
    for each in wanted(SETS[name]):
        version = pins.get(normal(each.name))
        assert version is not None, f"{each.name} is not in requirements/{name}.txt: `make lock`"
        assert each.specifier.contains(Version(version)), f"{each}: `make lock`"
    tested = pinned("dev")
    own = {package for package in pins if package not in tested}
    optional = name.endswith(("-gpu", "-openvino"))
    assert optional or not own, "images hold only what the tests ran with"
    assert all(tested.get(package, version) == version for package, version in pins.items())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.stem
)
def test_every_pin_has_hashes_and_no_index_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    for entry in entries:
        assert re.match(
            r"[a-z0-9._-]+(\[\S+\])?==\S+.* \\\n    --hash=sha256:[0-9a-f]{64}", entry
        ), entry
    assert "://" not in text
    assert "index" not in {line.split()[0].lstrip("-") for line in text.splitlines() if line}


def test_images_install_their_set_and_nothing_else() -> None:
    text = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"^ *pip install (.+)$", text, re.MULTILINE)
    assert len(installs) == 9
    for line in installs:
        assert line.startswith(
            ("--require-hashes --requirement ", "--no-deps --no-cache-dir /dist/")
        )
    for name in ("producer", "desk", "worker"):
        stage = text.split(f" AS {name}-dependencies\n")[1].split("\nFROM ")[0]
        stage = stage.replace("${WORKER_SET}", "worker")
        assert f"COPY requirements/{name}.txt" in stage
    assert "COPY requirements/${TRAINER_SET}.txt" in text
    assert "ARG WORKER_SET=worker\n" in text
    assert "tensorflow" not in {*pinned("producer"), *pinned("desk")}
    assert not {each for each in pinned("producer") if "opencv" in each}


def test_the_page_of_licences_is_of_the_pinned_versions() -> None:
    """`make licences` writes it; the licences themselves are those of what is installed."""
    page = (ROOT / "docs/reference/licences.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (\S+) \| (\d\S*) \|", page, re.MULTILINE))
    assert told == {
        package: version for name in IMAGES for package, version in pinned(name).items()
    }
    assert re.search(r"^\| python-stdnum \|.*(LGPL|Lesser)", page, re.MULTILINE)
    assert "not installed here" not in page


def _dependency(name: str, *advisories: str) -> dict[str, object]:
    vulns = [{"id": each, "fix_versions": ["2.0"]} for each in advisories]
    return {"name": name, "version": "1.0", "vulns": vulns}


def test_an_audit_that_reached_nobody_is_no_success() -> None:
    skipped = {"name": "numpy", "skip_reason": "Dependency not found on PyPI"}
    for report in ("", json.dumps({"dependencies": [skipped]})):
        code, lines = verdict(report)
        assert code == 3
        assert "nothing was checked" in lines[0]
    code, lines = verdict(json.dumps({"dependencies": [_dependency("celery"), skipped]}))
    assert (code, lines[-1]) == (0, "1 versions checked, 0 advisories")
    assert lines[0].endswith("not checked: numpy")
    found = [_dependency("celery", "CVE-1", "CVE-2"), _dependency("redis"), skipped]
    code, lines = verdict(json.dumps({"dependencies": found}))
    assert (code, lines[-1]) == (1, "2 versions checked, 2 advisories")
    assert lines[0] == "celery 1.0: CVE-1, fixed in 2.0"
