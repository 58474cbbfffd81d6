"""Jobs, items, chunks and messages: what travels between the rooms, with its encodings.

A job's record is written open, before its first chunk, and sealed with its counts when all its
chunks lie in the store. A message names a chunk and carries nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

from inkmill.codes import Code
from inkmill.errors import BadMessage, Corrupt, InkmillError
from inkmill.names import PRIORITIES, check_job
from inkmill.records import codec, image_ref
from inkmill.records.codec import (
    MOST_CHUNKS,
    MOST_ITEMS,
    ChunkCount,
    DigestOrEmpty,
    ItemCount,
    Length,
    Name,
    NameOrEmpty,
    Text,
    Timestamp,
    Within,
    one_of,
)
from inkmill.records.columnar import Binary, Column, Int32, Int64, Layout, String, read_table
from inkmill.records.image_ref import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

#: Version of the job record, the chunk object and the message; readers refuse a newer one.
SCHEMA_VERSION = 1

#: Retention is at most so long, in days.
MOST_DAYS = 1_000_000
#: Characters of all templates of a job together.
_LONGEST_FORM = 50_000_000

#: In what the model computes: what is fastest on each host without changing an accepted digit
#: ("any"), or one precision wherever the chunk is read.
ANY_PRECISION = "any"
PRECISIONS = (ANY_PRECISION, "float32", "bfloat16", "float16")

#: What holds when a document has the same page twice: nothing until a person has looked, both
#: (as two documents), or the one that came first or last in the job's order.
HOLD, KEEP, FIRST_COMES, LAST_COMES = DOUBLES = ("hold", "keep", "first", "last")

#: How a job chooses the model version for its chunks; else a version is named outright.
PINNED = "pinned"
FOLLOW = "follow"

#: Metadata of a chunk object. Should its bytes be damaged, these still tell what it held: the
#: digest of its names (``Chunk.digest``), its first item's number, and how many items.
DIGEST, FIRST, ITEMS = "digest", "first", "items"


def _code(text: str) -> Code | None:
    return Code(text) if text else None


@dataclass(frozen=True, slots=True)
class Item:
    """One page of one image, the unit of outcome.

    The image's bytes are in ``data``, or ``ref`` says where they are. An item that was found
    unreadable at submit has ``code`` and ``message`` and no bytes. ``sha256`` is the file's digest
    ("" for objects of the user's that were not read yet). ``document_key`` is the key of its
    document where a side table gives it (`--keys`).
    """

    item: Int64
    source: String
    page: Int32 = 1
    data: Binary = b""
    ref: Annotated[
        ImageRef | None, Column("string", read=image_ref.parse, write=image_ref.encode)
    ] = None
    sha256: String = ""
    code: Annotated[Code | None, Column("string", read=_code)] = None
    message: String = ""
    document_key: String = ""


_LAYOUT = Layout(Item)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part of a job that one message delivers."""

    job: str
    number: int
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over what identifies the items: source, page, content and a given key, not
        position."""
        hasher = hashlib.sha256()
        for each in self.items:
            image = each.sha256 or image_ref.encode(each.ref)
            line = [each.source, each.page, image, each.code or ""]
            line += [each.document_key] if each.document_key else []
            hasher.update(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return hasher.hexdigest()

    def encode(self) -> bytes:
        """The chunk as a Parquet object; images are packed as they are, without recompression."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        about = {"inkmill": str(SCHEMA_VERSION), "job": self.job, "chunk": str(self.number)}
        schema = _LAYOUT.schema.with_metadata(about)
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.table(_LAYOUT.to_columns(self.items), schema=schema),
            sink,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
        return sink.getvalue().to_pybytes()

    @classmethod
    def decode(cls, data: bytes) -> Chunk:
        """The chunk in a Parquet object. Raises Corrupt, or Newer."""
        return ChunkTable.decode(data).chunk()


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """A chunk as Arrow columns: for those who need no object for each item."""

    job: str
    number: int
    columns: pa.Table

    @classmethod
    def decode(cls, data: bytes) -> ChunkTable:
        """The columns in a Parquet object. Raises Corrupt, or Newer."""
        names = _LAYOUT.schema.names
        table = read_table(data, "chunk", SCHEMA_VERSION, names)
        about = table.schema.metadata or {}
        try:
            job, number = about[b"job"].decode(), int(about[b"chunk"])
        except (KeyError, ValueError) as error:
            raise Corrupt(f"not a chunk object: {error}") from error
        return cls(job, number, table.select(names))

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column, in the items' order."""
        return self.columns.column(name).to_pylist()

    def part(self, positions: Sequence[int]) -> ChunkTable:
        """The items at these positions alone."""
        return replace(self, columns=self.columns.take(list(positions)))

    def verdicts(self) -> dict[int, tuple[Code, str]]:
        """Items that were found unreadable at submit: position -> code and message."""
        codes = enumerate(zip(self.column("code"), self.column("message"), strict=True))
        return {position: (Code(code), message) for position, (code, message) in codes if code}

    def identity(self) -> dict[str, Any]:
        """The columns that a row has from its item, as they are."""
        return {name: self.columns.column(name) for name in ("item", "source", "page", "sha256")}

    @property
    def has_refs(self) -> bool:
        """Whether any item only names its image."""
        return any(self.column("ref"))

    def chunk(self) -> Chunk:
        """An object for each item. Raises Corrupt."""
        items = tuple(_LAYOUT.from_table(self.columns))
        return Chunk(self.job, self.number, items)


@dataclass(frozen=True, slots=True)
class Options:
    """What a submit asks for besides its inputs and its form; part of the job's identity.

    ``policy`` is `PINNED`, `FOLLOW` or the version that was asked for. ``keyed`` says that a side
    table gave documents their keys; ``doubles`` how to handle duplicate pages in a document
    (`DOUBLES`).
    """

    model: Name = "digits"
    policy: Name = PINNED
    priority: Annotated[str, one_of(PRIORITIES)] = "normal"
    chunk_size: Annotated[int, Within(1, MOST_ITEMS)] = 1024
    precision: Annotated[str, one_of(PRECISIONS)] = ANY_PRECISION
    keyed: bool = False
    doubles: Annotated[str, one_of(DOUBLES)] = HOLD


@dataclass(frozen=True, slots=True)
class Job:
    """A job's record.

    ``job`` is its id; ``name`` and ``revision`` are what the user called it ("" for no name; see
    `inkmill.lifecycle.identity`). ``version`` is the model version the job is pinned to ("" where
    it follows the latest); ``form`` is the text of the template, or templates
    (`inkmill.template.templates`; "" for digit images), ``form_name`` and ``form_hash`` those of
    one, or of all together. Once ``sealed``, these are final: ``chunks``, ``items``, ``inputs``
    (digest over all chunks), and ``layout``, which gives runs of chunks as (items in each, number
    of chunks), in order. Times are seconds since the epoch.
    """

    job: Name
    created: Timestamp
    options: Options = field(default_factory=Options)
    version: DigestOrEmpty = ""
    form: Annotated[str, Length(0, _LONGEST_FORM)] = ""
    form_name: Text = ""
    form_hash: DigestOrEmpty = ""
    sealed: bool = False
    chunks: ChunkCount = 0
    items: ItemCount = 0
    inputs: DigestOrEmpty = ""
    retention_days: Annotated[int, Within(0, MOST_DAYS)] = 0
    name: NameOrEmpty = ""
    revision: Annotated[int, Within(1, MOST_ITEMS)] = 1
    layout: Annotated[tuple[tuple[ItemCount, ChunkCount], ...], Length(0, MOST_CHUNKS)] = ()
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """How people refer to the job: by its name, with its revision, else by its id."""
        return label_of(self.name, self.revision) if self.name else self.job

    def items_of(self, chunk: int) -> range:
        """The numbers of the items that a chunk of the sealed job holds."""
        first, before = 0, 0
        for size, count in self.layout:
            if chunk < before + count:
                start = first + (chunk - before) * size
                return range(start, start + size)
            first, before = first + size * count, before + count
        return range(0)

    @property
    def identity(self) -> str:
        """SHA-256 of inputs, form and options: the same means the same job."""
        parts = {"inputs": self.inputs, "form": self.form_hash, "options": asdict(self.options)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def seal(self, sizes: Sequence[int], inputs: str) -> Job:
        """The record once everything is uploaded; ``sizes`` are the items of each chunk."""
        return replace(
            self,
            sealed=True,
            chunks=len(sizes),
            items=sum(sizes),
            inputs=inputs,
            layout=tuple((size, len(list(run))) for size, run in groupby(sizes)),
        )

    def encode(self) -> bytes:
        """The record as JSON. Raises UsageError for a value that cannot be stored."""
        return codec.encode(self, f"the record of job {self.job}", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str = "job record") -> Job:
        """The job in a record; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=SCHEMA_VERSION)


def label_of(name: str, revision: int) -> str:
    """What a revision of a name is called: the name itself, then name-r2, name-r3 ..."""
    return name if revision == 1 else f"{name}-r{revision}"


def combine(digests: Sequence[str]) -> str:
    """The digest of a job's inputs from its chunks' digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """What lies in the queue: a schema version, the job and the chunk's number."""

    job: Name
    chunk: ChunkCount
    schema: Annotated[int, Within(1, SCHEMA_VERSION)] = SCHEMA_VERSION

    def encode(self) -> dict[str, Any]:
        return {"schema": self.schema, "job": self.job, "chunk": self.chunk}

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Message:
        """The message in a task's keyword arguments. Raises BadMessage, which carries them."""
        try:
            message = codec.decode(cls, json.dumps(fields), "message", schema=SCHEMA_VERSION)
            check_job(message.job)
        except (InkmillError, TypeError, ValueError) as error:
            raise BadMessage(str(error), repr(fields)[:2000]) from error
        return message


__all__ = [
    "ANY_PRECISION",
    "DIGEST",
    "FIRST",
    "FOLLOW",
    "ITEMS",
    "PINNED",
    "PRECISIONS",
    "PRIORITIES",
    "SCHEMA_VERSION",
    "Chunk",
    "ChunkTable",
    "Item",
    "Job",
    "Message",
    "Options",
    "combine",
    "label_of",
]
