"""What a list holds, whatever its format: lines that are shown, and what was typed for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from inkmill.errors import Corrupt, UsageError
from inkmill.records import codec
from inkmill.records.codec import DigestOrEmpty, Name, one_of
from inkmill.records.jobs import Job

#: What a list is for. An audit is blind: it shows pictures and no values.
REVIEW, SECOND, AUDIT = "review", "second", "audit"


@dataclass(frozen=True, slots=True)
class Line:
    """A field to look at; ``picture`` is a PNG, empty where the page is gone."""

    item: int
    source: str
    page: int
    key: str
    field: str
    raw: str
    value: str
    proposed: str
    reason: str
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class About:
    """Which list this is: its job, its kind, and the digest of an audit's sample.

    ``job`` is its name, ``job_id`` the id, which no later job of the same name has.
    """

    job: Name
    kind: Annotated[str, one_of((REVIEW, SECOND, AUDIT))]
    sample: DigestOrEmpty
    job_id: Name

    @classmethod
    def of(cls, record: Job, kind: str, sample: str = "") -> About:
        """A list of this very job."""
        return cls(record.label, kind, sample, record.job)


@dataclass(frozen=True, slots=True)
class TypedValue:
    """What somebody typed for a field that showed a value; ``row`` is its place in the file."""

    item: int
    field: str
    shown: str
    typed: str
    row: int


@dataclass(frozen=True, slots=True)
class FilledList:
    """A list that came back."""

    about: About
    entries: Sequence[TypedValue] = ()


def shown(about: About, line: Line) -> Line:
    """The line as a list shows it: an audit hides raw, value, proposal and reason."""
    if about.kind == AUDIT:
        return replace(line, raw="", value="", proposed="", reason="")
    return line


def typed_values(path: Path, lines: Iterable[tuple[int, Sequence[str]]]) -> list[TypedValue]:
    """The values in a list, from each line's number, item, field, value shown and value typed.

    A note that names neither item nor field is skipped. Raises UsageError for a typed value that
    belongs to no item and field: nothing that a person typed is lost in silence.
    """
    found = list[TypedValue]()
    for number, (item, name, value, typed) in lines:
        if not typed or not (item or name):
            continue
        if not (item.isascii() and item.isdecimal() and name):
            raise UsageError(
                f"{path}, line {number}: {typed!r} is typed, but {item!r} and {name!r} are not an "
                "item and a field: restore them, and use the last column for values only"
            )
        found.append(TypedValue(int(item), name, value, typed, number))
    return found


def text_of(value: Any) -> str:
    """A typed value as text; a spreadsheet may have turned it into a number."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def about_of(path: Path, text: str) -> About:
    """Which list a file says it is, from JSON. Raises UsageError for anything else."""
    try:
        return codec.decode(About, text, f"the list {path}")
    except Corrupt as error:
        raise foreign(path) from error


def foreign(path: Path) -> UsageError:
    """The error for a file that is not a list."""
    return UsageError(
        f"{path}: not a list from `inkmill review export` or `inkmill audit`: fill in the last "
        "column of the exported file and keep its other sheets and columns"
    )
