"""The reference pages agree with the commands, codes, columns and keys of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from inkmill import names
from inkmill.cli.main import COMMANDS, inkmill
from inkmill.codes import Code, Exit, Status
from inkmill.producer import JobStatus
from inkmill.producer.tables.columns import table_of
from inkmill.producer.tables.writers import FORMATS
from inkmill.records.events import Event
from inkmill.records.jobs import Job
from inkmill.records.rows import CellReading, FieldResult, Row
from inkmill.template.fields import Check, FieldTable, FormField
from inkmill.template.form import DocumentKey, Form, PageSize
from inkmill.template.registration import Registration
from inkmill.template.rule import Rule
from tests.faults.report import SCENARIOS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "reference/commands.md").read_text(encoding="utf-8")
RESULTS = (DOCS / "reference/results.md").read_text(encoding="utf-8")
STORAGE = (DOCS / "reference/storage.md").read_text(encoding="utf-8")
TEMPLATE = (DOCS / "reference/template.md").read_text(encoding="utf-8")
TALLY = DOCS.parent / "examples/forms/tally.yaml"


def section(command: str) -> str:
    """The part of commands.md about a command."""
    found = re.search(rf"^## inkmill {command}\b.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"reference/commands.md has no section on inkmill {command}"
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


def test_columns_and_formats() -> None:
    assert f"| digit images | {', '.join(table_of(Job('a', 0.0), False).columns)} |" in RESULTS
    for field in fields(JobStatus):
        assert re.search(rf"\b{field.name}\b", section("status")), field.name
    columns = table_of(Job("a", 0.0, form=TALLY.read_text()), True).columns
    assert f"| forms, `--long` | {', '.join(columns)} |" in RESULTS
    assert all(f"`{name}`" in section("results").replace("csv`", "`csv`") for name in FORMATS[1:])


def test_every_code_status_and_exit_code_has_its_line() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", RESULTS, re.MULTILINE)
    assert {str(code) for code in Code} == {name for name, _ in rows if name.isupper()}
    assert {str(status) for status in Status} <= {name for name, _ in rows}
    for name, told in rows:
        if name.isupper():
            assert set(told.split(", ")) <= set(Status), name
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", RESULTS, re.MULTILINE)}
    assert numbers == {*map(int, Exit), 130}


def test_every_attribute_of_a_row_is_described() -> None:
    for each in (*fields(Row), *fields(FieldResult), *fields(CellReading)):
        assert re.search(rf"\b{each.name}\b", RESULTS), each.name


def test_every_prefix_and_redis_key_is_described() -> None:
    """What inkmill.names builds, with numbers and digests as the page writes them."""
    for name, value in vars(names).items():
        if name.isupper() and isinstance(value, str) and name != "TASK":
            assert f"`{value}" in STORAGE, name
    digest = "0" * 64
    for key in (
        names.job_record("j"),
        names.job_summary("j"),
        names.settled("j"),
        names.cancel_marker("j"),
        names.chunk("j", 1),
        names.result("j", 1),
        names.image("j", digest),
        names.picture("j", 1),
        names.fix("j", 1),
        names.attempt("j", 1, 2),
        names.suspect("j", 1),
        names.quarantined("j", 1),
        names.event_batch("j", digest),
        names.audit_sample("j", digest),
    ):
        told = key.replace("/j/", "/<job>/").replace(digest, "<sha256>")
        told = re.sub(r"\d{8}", "<item>", told)
        told = re.sub(r"-\d{3}(?=\.)", "-<count>", re.sub(r"\d{5}", "<n>", told))
        assert f"`{told}`" in STORAGE, key
    for key in (*names.hints("j"), names.ended("j")):
        assert f"`{key.replace(':j:', ':<job>:')}`" in STORAGE, key
    for each in fields(Event):
        assert f"`{each.name}`" in STORAGE, each.name


@pytest.mark.parametrize(
    ("part", "heading"),
    [
        (Form, "Top level"),
        (PageSize, "Page"),
        (Registration, "Registration"),
        (FormField, "Fields"),
        (FieldTable, "Tables"),
        (Rule, "Rules"),
        (Check, "Checks"),
        (DocumentKey, "Document key"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_every_key_of_a_template_is_described(part: type[BaseModel], heading: str) -> None:
    text = TEMPLATE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for name, field in part.model_fields.items():
        word = field.alias or name
        assert re.search(rf"[`{{\s]{word}\b[`:]", text), f"{heading}: {word}"


def test_the_table_of_faults_is_that_of_the_suite() -> None:
    text = (DOCS / "explanation/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    assert {int(number): (fault, wanted) for number, fault, wanted in rows} == SCENARIOS
