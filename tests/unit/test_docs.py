"""docs/commands.md says what the commands say."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from inkmill.cli.main import COMMANDS, inkmill
from inkmill.codes import Exit
from inkmill.producer import JobStatus
from inkmill.producer.tables.columns import table_of
from inkmill.producer.tables.writers import FORMATS
from inkmill.records.jobs import Job

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "commands.md").read_text(encoding="utf-8")
TALLY = DOCS.parent / "examples/forms/tally.yaml"


def section(command: str) -> str:
    """The part of commands.md about a command."""
    found = re.search(rf"^## inkmill {command}\b.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/commands.md has no section on inkmill {command}"
    return found[0]


#: Sections of the help whose commands have documents of their own.
ELSEWHERE = ("People", "Forms", "Models and training")


def commands() -> list[str]:
    there = inkmill.list_commands(click.Context(inkmill))
    return [name for name in there if COMMANDS[name].section not in ELSEWHERE]


@pytest.mark.parametrize("name", commands())
def test_every_option_is_described_and_no_other(name: str) -> None:
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*|(?<=`)-[a-z](?=[ `])", section(name)))
    command = inkmill.get_command(click.Context(inkmill), name)
    assert command is not None
    parts = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    there = {
        name
        for part in parts
        for each in part.params
        if isinstance(each, click.Option)
        for name in each.opts
    }
    # Options of other commands, named in passing.
    passing = {"--debug", "--name", "--partial"}
    assert there <= told
    assert told - passing <= there


def test_exit_codes_columns_and_formats() -> None:
    for code in Exit:
        assert f"| {int(code)} |" in TEXT
    assert f"| digit images | {', '.join(table_of(Job('a', 0.0), False).columns)} |" in TEXT
    for field in fields(JobStatus):
        assert re.search(rf"\b{field.name}\b", section("status")), field.name
    columns = table_of(Job("a", 0.0, form=TALLY.read_text()), True).columns
    assert ", ".join(columns) in section("results")
    assert all(f"`{name}`" in section("results").replace("csv`", "`csv`") for name in FORMATS[1:])
