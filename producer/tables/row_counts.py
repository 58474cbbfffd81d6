"""A finished job's counts of settled rows (`inkmill.rules.settle`), stored beside them.

Workers count rows as they write them. Values that people enter, rules over several pages,
thresholds and pages that were read again change the counts later, though no row is rewritten.
Whoever goes through all rows of a finished job stores the counts, with a digest of everything
they depend on. They are valid while the digest is the same, so a job of a million rows is counted
once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from inkmill import names
from inkmill.errors import Corrupt, NotFound
from inkmill.records import codec
from inkmill.records.codec import Digest, ItemCount, Name, Within
from inkmill.records.jobs import Job
from inkmill.records.rows import Counts, Row

if TYPE_CHECKING:
    from inkmill.backends.store import Store

#: Version of the stored counts; newer ones are counted anew.
_SCHEMA = 1


def basis(store: Store, record: Job, finished: float) -> str:
    """A digest of everything that may change a finished job's rows; "" if nothing can.

    It includes the time ``finished``, since chunks may be read again (`inkmill quarantine
    retry`). Costs two or three listings, and none for digit images.
    """
    if not record.form:
        return ""
    # Loads the template's parser, which a producer of digit images does not need.
    from inkmill.producer.tables.settlement import settlement, templates_of

    beside = [entry.key for entry in store.list(names.events(record.job))]
    beside += [f"{entry.key} {entry.modified}" for entry in store.list(names.fixes(record.job))]
    if not beside and not settlement(store, record).changes:
        return ""
    beside += [
        hashlib.sha256(store.get(entry.key).data).hexdigest()
        for form in templates_of(record)
        for entry in store.list(names.acceptances(form.hash))
    ]
    lines = "\n".join([f"settled {finished!r}", *sorted(beside)])
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The stored counts and the digest of their basis."""

    digest: Digest
    statuses: dict[Name, ItemCount]
    codes: dict[Name, ItemCount]
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def load(store: Store, job: str, digest: str) -> Counts | None:
    """The stored counts, if they still have this basis."""
    key = names.settled(job)
    try:
        kept = codec.decode(RowCounts, store.get(key).data, key, schema=_SCHEMA)
    except (NotFound, Corrupt):
        return None  # missing, damaged or newer: they can be counted again
    return Counts.of(kept.statuses, kept.codes) if kept.digest == digest else None


def counted(store: Store, job: str, digest: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Pass the rows on unchanged; store their counts once the last has passed."""
    statuses, codes = Counter[str](), Counter[str]()
    for row in rows:
        statuses[row.status] += 1
        if row.code is not None:
            codes[row.code] += 1
        yield row
    counts = Counts.of(statuses, codes)
    record = RowCounts(digest, counts.statuses, counts.codes)
    store.put(names.settled(job), codec.encode(record, "the counts of rows", indent=1))
