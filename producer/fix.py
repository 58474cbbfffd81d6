"""Pages that could not be located, read again with corners given by hand.

The new row is kept beside the result it stands for, which stays as it was.
"""

from __future__ import annotations

from inkmill import names, reconcile, rows
from inkmill.errors import NotFound, UsageError
from inkmill.jobs import Item, Job
from inkmill.producer.connection import Connection
from inkmill.producer.originals import originals
from inkmill.rows import Row
from inkmill.store import Store


def find_page(connection: Connection, job: str, page: str) -> tuple[Job, Item, bytes]:
    """A job's item with its file, by its number in the table's column ``item``.

    Raises NotFound or UsageError that says what to give instead.
    """
    record = reconcile.load_job(connection.store, job)
    if not record.form:
        raise UsageError(f"job {job} has no form: corners are for pages of a form")
    if not page.isdecimal() or int(page) >= record.items:
        raise UsageError(
            f"{page!r} is no page of job {job}: give the number in the column item, "
            f"0 to {record.items - 1}"
        )
    item, data = next(originals(connection, record, [int(page)]), (None, b""))
    if item is None or not data:
        raise NotFound(f"page {page} of job {job}: its scan is not kept any more")
    return record, item, data


def keep(store: Store, job: str, row: Row) -> None:
    """From now on this row counts for its item."""
    store.put(names.fix(job, row.item), rows.encode([row]))


def kept(store: Store, job: str) -> dict[int, Row]:
    """Rows that stand for others: by item."""
    found = (rows.decode(store.get(entry.key).data)[0] for entry in store.list(names.fixes(job)))
    return {row.item: row for row in found}
