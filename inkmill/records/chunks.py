"""Items and chunks: the parts of a job that travel, and their encoding as Parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from inkmill.codes import Code
from inkmill.errors import Corrupt
from inkmill.records import image_ref
from inkmill.records.columnar import Binary, Column, Int32, Int64, Layout, String, read_table
from inkmill.records.image_ref import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

#: Version of the chunk object; readers refuse a newer one.
SCHEMA_VERSION = 1

#: Bytes of a chunk in memory: a producer packs some 16 MiB, and 8 more for a last image. A worker
#: holds several chunks at once.
MOST_IN_MEMORY = 2**28

#: Metadata of a chunk object, which describe it even if its bytes are damaged: the digest of its
#: items' names (``Chunk.digest``), the number of its first item, and how many items it holds.
DIGEST, FIRST, ITEMS = "digest", "first", "items"


#: ``json.dumps`` makes an encoder at each call that asks for anything unusual.
_json = json.JSONEncoder(ensure_ascii=False).encode


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

    def numbered(self, number: int) -> Item:
        """The item under this number; `dataclasses.replace` takes twice the time."""
        return Item(
            number,
            self.source,
            self.page,
            self.data,
            self.ref,
            self.sha256,
            self.code,
            self.message,
            self.document_key,
        )


_LAYOUT = Layout(Item)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part of a job that one message delivers."""

    job: str
    number: int
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over what identifies the items: source, page, content and a given key, but not
        position."""
        hasher = hashlib.sha256()
        for each in self.items:
            image = each.sha256 or image_ref.encode(each.ref)
            line = [each.source, each.page, image, each.code or ""]
            line += [each.document_key] if each.document_key else []
            hasher.update(_json(line).encode() + b"\n")
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
    """A chunk as Arrow columns: for readers that need no object per item."""

    job: str
    number: int
    columns: pa.Table

    @classmethod
    def decode(cls, data: bytes) -> ChunkTable:
        """The columns in a Parquet object. Raises Corrupt, or Newer."""
        names = _LAYOUT.schema.names
        table = read_table(data, "chunk", SCHEMA_VERSION, names, most=MOST_IN_MEMORY)
        about = table.schema.metadata or {}
        try:
            job, number = about[b"job"].decode(), int(about[b"chunk"])
            # Parquet reads the columns that are there, and is silent about the others.
            return cls(job, number, table.select(names))
        except (KeyError, ValueError) as error:
            raise Corrupt(f"not a chunk object: {error}") from error

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


def combine(digests: Sequence[str]) -> str:
    """The digest of a job's inputs from its chunks' digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
