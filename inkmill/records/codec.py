"""One decoding for every record that is stored or sent as JSON.

A record is a frozen dataclass whose annotations say what a field may hold: its type, its bounds,
the length of its text. `decode` checks all of them (pydantic, in strict mode) before anybody acts
on a value, so that an absurd count is refused where it is read. The rule for other versions:
every record that is stored has a schema number, unknown fields are refused, and a change that adds
one raises the number. A record with a higher number is `Newer`, anything else that does not fit is
`Corrupt`. A record of each number is kept in tests/samples, and read by the tests from then on.

pydantic is imported at the first decoding, and bounds are objects of our own instead of those of
annotated_types (70 ms with what it imports): importing a room loads nothing heavy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from inkmill.errors import Corrupt, Newer, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

#: No job has more chunks. Far too many to make a list of: readers go through a range.
MOST_CHUNKS = 10_000_000
#: No chunk has more items: whoever writes rows for a lost one makes a list of this length.
MOST_IN_CHUNK = 100_000
#: No job has more items, and no item a higher number.
MOST_ITEMS = 100_000_000_000
#: What a message of an error shows of a value that was refused.
_SHOWN = 60

#: Made at the first use of each type of record.
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}

_SHA256 = "[0-9a-f]{64}"
#: What a name of a field looks like; anything else in its place is shown as a value is.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number, both inclusive."""

    ge: float
    le: float

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), "ge": self.ge, "le": self.le}


@dataclass(frozen=True, slots=True)
class Length:
    """Least and greatest length of a text, a tuple or a mapping."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), "min_length": self.least, "max_length": self.most}


@dataclass(frozen=True, slots=True)
class Pattern:
    """The regular expression that a whole text matches."""

    expression: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), "pattern": f"^(?:{self.expression})$"}


def one_of(words: Iterable[str]) -> Pattern:
    """The text is one of these words (letters and digits)."""
    return Pattern("|".join(words))


ChunkCount = Annotated[int, Within(0, MOST_CHUNKS)]
ItemCount = Annotated[int, Within(0, MOST_ITEMS)]
#: Seconds since the epoch, up to the year 5138.
Timestamp = Annotated[float, Within(0, 1e11)]
#: An identifier: a job, a model, a person, a field of a form.
Name = Annotated[str, Length(1, 200)]
#: The same, or "" for none.
NameOrEmpty = Annotated[str, Length(0, 200)]
#: A sentence, a value, a path.
Text = Annotated[str, Length(0, 10_000)]
#: A SHA-256 in lower-case hexadecimal; or "" for none.
Digest = Annotated[str, Pattern(_SHA256)]
DigestOrEmpty = Annotated[str, Pattern(f"(?:{_SHA256})?")]


def encode(record: DataclassInstance, name: str, *, indent: int | None = None) -> bytes:
    """A record as JSON in UTF-8; ``name`` says in errors what it is.

    Raises UsageError for values that `decode` would refuse: nothing is stored that cannot be read.
    """
    from pydantic import ValidationError

    data = json.dumps(asdict(record), ensure_ascii=False, indent=indent).encode(
        errors="surrogatepass"
    )
    try:
        _adapter(type(record)).validate_json(data, strict=True, extra="forbid")
    except ValidationError as error:
        raise UsageError(f"{name} cannot be stored: {_first(error)}") from None
    return data


def decode(
    kind: type[T],
    data: bytes | str,
    name: str,
    *,
    schema: int | None = None,
    schema_field: str = "schema",
) -> T:
    """The record of type ``kind`` in JSON; ``name`` says in errors what it was read from.

    ``schema`` is the highest number in ``schema_field`` that this program knows (None where the
    record has none). Raises Newer for a higher one, Corrupt for anything else that is not exactly
    such a record: the message names the first field that is wrong.
    """
    from pydantic import ValidationError

    try:
        record: T = _adapter(kind).validate_json(data, strict=True, extra="forbid")
        return record
    except ValidationError as error:
        if schema is not None:
            refuse_newer(data, name, schema=schema, schema_field=schema_field)
        raise Corrupt(f"{name} is damaged: {_first(error)}", _bytes(data)) from None


def refuse_newer(
    data: bytes | str, name: str, *, schema: int, schema_field: str = "schema"
) -> None:
    """Raise Newer if the JSON object has a higher number in ``schema_field`` than ``schema``.

    For what `decode` does not read; anything else passes, for its own reader to judge.
    """
    found = _integer_field(data, schema_field)
    if found is not None and found > schema:
        raise Newer(
            f"{name} was written by a newer Inkmill ({schema_field} {found}, but this one reads up "
            f"to {schema}): update this program"
        ) from None


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _integer_field(data: bytes | str, key: str) -> int | None:
    try:
        found: Any = json.loads(data)[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if type(found) is int else None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: which field, why, and what it held."""
    wrong = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(
        str(part) if _PLAIN.fullmatch(str(part)) else shorten(part) for part in wrong["loc"]
    )
    kind = wrong["type"]
    if kind == "unexpected_keyword_argument":
        reason = "unknown field"
    elif kind == "missing":
        reason = "is missing"
    elif isinstance(wrong["input"], str | int | float | None) and kind != "json_invalid":
        reason = f"{wrong['msg']}, not {shorten(wrong['input'])}"
    else:
        reason = wrong["msg"]
    return f"{where}: {reason}" if where else reason


def shorten(value: object) -> str:
    """A value that somebody else wrote, as an error may show it: bounded, and on one line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _bytes(data: bytes | str) -> bytes:
    return data.encode(errors="surrogatepass") if isinstance(data, str) else data
