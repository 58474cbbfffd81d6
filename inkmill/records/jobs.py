"""A job's record and its options.

The record is written open, before the job's first chunk, and sealed with its counts when all its
chunks are stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Annotated

from inkmill.errors import Corrupt, UsageError
from inkmill.names import PRIORITIES
from inkmill.records import codec
from inkmill.records.codec import (
    MOST_CHUNKS,
    MOST_IN_CHUNK,
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

#: Version of the job record; readers refuse a newer one.
SCHEMA_VERSION = 1

#: Characters of the address of a webhook.
MOST_TARGET = 2_000
#: Runs of chunks in a layout: 200 bytes of memory each, in every process that reads the record.
MOST_RUNS = 1_000_000
#: Longest retention, in days.
MOST_DAYS = 1_000_000
#: Characters of all templates of a job together.
_LONGEST_FORM = 50_000_000

#: The precision in which the model computes: the fastest on each host that changes no accepted
#: digit ("any"), or the same one on every host.
ANY_PRECISION = "any"
PRECISIONS = (ANY_PRECISION, "float32", "bfloat16", "float16")

#: How to handle duplicate pages in a document: hold both until a person has looked, keep both (as
#: two documents), or take the one that came first or last in the job's order.
HOLD, KEEP, FIRST_COMES, LAST_COMES = DOUBLES = ("hold", "keep", "first", "last")

#: How a job chooses the model version for its chunks, unless it names one.
PINNED = "pinned"
FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a submit besides its inputs and form; part of the job's identity.

    ``policy`` is `PINNED`, `FOLLOW` or the version that was asked for. ``keyed`` says that a side
    table gave documents their keys; ``doubles`` how to handle duplicate pages in a document
    (`DOUBLES`).
    """

    model: Name = "digits"
    policy: Name = PINNED
    priority: Annotated[str, one_of(PRIORITIES)] = "normal"
    chunk_size: Annotated[int, Within(1, MOST_IN_CHUNK)] = 1024
    precision: Annotated[str, one_of(PRECISIONS)] = ANY_PRECISION
    keyed: bool = False
    doubles: Annotated[str, one_of(DOUBLES)] = HOLD


#: A run of chunks of one size: how many items each has, and how many chunks there are.
_Run = tuple[Annotated[int, Within(0, MOST_IN_CHUNK)], Annotated[int, Within(1, MOST_CHUNKS)]]


@dataclass(frozen=True, slots=True)
class Job:
    """A job's record.

    ``job`` is its id; ``name`` and ``revision`` are what the user called it ("" for no name; see
    `inkmill.lifecycle.identity`). ``version`` is the model version the job is pinned to ("" where
    it follows the latest); ``form`` is the text of the template, or templates
    (`inkmill.template.templates`; "" for digit images), ``form_name`` and ``form_hash`` those of
    one, or of all together. ``strips_model`` is the name of the model that reads numbers without
    cells, "" where the forms have none, ``strips_version`` its version as ``version`` is. Once
    ``sealed``, these are final: ``chunks``, ``items``, ``inputs`` (digest over all chunks), and
    ``layout``, which gives runs of chunks as (items in each, number of chunks), in order.
    ``on_done`` is who is told of the job's end (`inkmill.records.notices`), "" for nobody. Times
    are seconds since the epoch.
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
    layout: Annotated[tuple[_Run, ...], Length(0, MOST_RUNS)] = ()
    strips_model: NameOrEmpty = ""
    strips_version: DigestOrEmpty = ""
    on_done: Annotated[str, Length(0, MOST_TARGET)] = ""
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

    def chunk_of(self, item: int) -> int | None:
        """The chunk of the sealed job that holds an item; None if it has no such item."""
        first, before = 0, 0
        for size, count in self.layout:
            if size and first <= item < first + size * count:
                return before + (item - first) // size
            first, before = first + size * count, before + count
        return None

    @property
    def identity(self) -> str:
        """SHA-256 of inputs, form and options: the same means the same job."""
        parts = {"inputs": self.inputs, "form": self.form_hash, "options": asdict(self.options)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def seal(self, sizes: Sequence[int], inputs: str) -> Job:
        """The record once everything is uploaded; ``sizes`` are the items of each chunk.

        Raises UsageError where chunks of too many different sizes follow each other.
        """
        layout = tuple((size, len(list(run))) for size, run in groupby(sizes))
        if len(layout) > MOST_RUNS:
            raise UsageError(
                f"job {self.label} has {len(sizes):,} chunks in {len(layout):,} runs of one size, "
                f"of which a job has at most {MOST_RUNS:,}: submit its images as several jobs"
            )
        return replace(
            self,
            sealed=True,
            chunks=len(sizes),
            items=sum(sizes),
            inputs=inputs,
            layout=layout,
        )

    def encode(self) -> bytes:
        """The record as JSON. Raises UsageError for a value that cannot be stored."""
        return codec.encode(self, f"the record of job {self.job}", indent=1)

    @classmethod
    def decode(cls, data: bytes, name: str = "job record") -> Job:
        """The job in a record; ``name`` is its key. Raises Corrupt, or Newer."""
        job = codec.decode(cls, data, name, schema=SCHEMA_VERSION)
        chunks = sum(count for _, count in job.layout)
        items = sum(size * count for size, count in job.layout)
        if (job.chunks, job.items) != (chunks, items):
            raise Corrupt(
                f"{name} is damaged: it counts {job.chunks} chunks with {job.items} items, but its "
                f"layout has {chunks} with {items}",
                data,
            )
        return job


def label_of(name: str, revision: int) -> str:
    """What a revision of a name is called: the name itself, then name-r2, name-r3 ..."""
    return name if revision == 1 else f"{name}-r{revision}"
