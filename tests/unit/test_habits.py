"""CI and the commit hooks run what exists, and the same checks as a developer."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE))


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def targets(command: str) -> list[str]:
    """Targets of a ``make`` command, without its options and variables."""
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "", command))
    assert words[0] == "make"
    return [word for word in words[1:] if "=" not in word and word[0] != "-"]


def ci_job() -> dict[str, Any]:
    (job,) = load(".github/workflows/ci.yml")["jobs"].values()
    return dict(job)


def test_the_workflow_runs_the_checks_that_a_developer_runs() -> None:
    (command,) = (step["run"] for step in ci_job()["steps"] if "run" in step)
    assert targets(command) == ["check", "test"]
    local = (ROOT / ".ci/run").read_text().rpartition("exec ")[2]
    assert targets(local) == targets(command)
    assert set(targets(command)) <= TARGETS


def test_the_workflow_covers_the_pythons_that_are_promised() -> None:
    promised = {
        line.rpartition(" ")[2]
        for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
        if line.startswith("Programming Language :: Python ::")
    }
    assert set(ci_job()["strategy"]["matrix"]["python"]) == promised


def test_the_workflow_may_only_read_and_uploads_nothing() -> None:
    assert load(".github/workflows/ci.yml")["permissions"] == {"contents": "read"}
    used = {step["uses"].split("@")[0] for step in ci_job()["steps"] if "uses" in step}
    assert used == {"actions/checkout", "actions/setup-python"}


def hooks() -> list[dict[str, Any]]:
    return [hook for repo in load(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]


def test_hooks_use_the_tools_of_the_project() -> None:
    """A hook with a version of its own would disagree with `make check` one day."""
    assert {repo["repo"] for repo in load(".pre-commit-config.yaml")["repos"]} == {"local"}
    entries = {hook["id"]: hook["entry"] for hook in hooks()}
    assert {"ruff", "ruff-format"} <= set(entries)
    for name, entry in entries.items():
        program = ROOT / entry.split()[0]
        assert program.relative_to(ROOT).parts[:2] == (".venv", "bin"), name
        if (ROOT / ".venv").exists():
            assert program.exists(), f"{name}: add what brings {program.name} to the extra dev"


def test_help_lists_every_target_with_what_it_does() -> None:
    described = set(re.findall(r"^([a-z.-]+):.*## .+$", MAKEFILE, re.MULTILINE))
    inner = {"help", "lint", "types"}
    assert TARGETS - inner <= described
