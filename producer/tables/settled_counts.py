"""A job's counts as its rows hold now, kept beside it.

Workers count rows as they write them. What people enter, rules over several pages, thresholds
and pages that were read again change that later, without a row being rewritten: whoever goes
through all rows of a finished job leaves what came out, with a digest of all that it rests on.
The counts hold as long as the digest does; so a job of a million rows is counted once.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import NotFound
from inkmill.records.jobs import Job
from inkmill.records.rows import Counts, Row

if TYPE_CHECKING:
    from inkmill.backends.store import Store


def rests_on(store: Store, record: Job, finished: float) -> str:
    """A digest of what may change the rows of a job that was finished then; "" where nothing does.

    With its time, since chunks may be read again (`inkmill quarantine retry`).
    Costs two or three listings, and for digit images none.
    """
    if not record.form:
        return ""
    # Loads the template's parser, which a producer of digit images has no need of.
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
    told = "\n".join([f"settled {finished!r}", *sorted(beside)])
    return hashlib.sha256(told.encode()).hexdigest()


def load(store: Store, job: str, digest: str) -> Counts | None:
    """The counts that were kept, if they rest on the same."""
    try:
        kept = json.loads(store.get(names.settled(job)).data)
        return Counts.of(kept["statuses"], kept["codes"]) if kept["digest"] == digest else None
    except (NotFound, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or none that can be read: they can be counted again


def counting(store: Store, job: str, digest: str, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as they are; when all of them have gone by, their counts are kept."""
    statuses, codes = Counter[str](), Counter[str]()
    for row in rows:
        statuses[row.status] += 1
        if row.code is not None:
            codes[row.code] += 1
        yield row
    counts = Counts.of(statuses, codes)
    record = {"digest": digest, "statuses": counts.statuses, "codes": counts.codes}
    store.put(names.settled(job), json.dumps(record, indent=1).encode())
