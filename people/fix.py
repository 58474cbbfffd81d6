"""Find a page that could not be located, to read it again with corners given by hand."""

from __future__ import annotations

from inkmill.errors import NotFound, UsageError
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection
from inkmill.producer.tables.originals import originals
from inkmill.records.chunks import Item
from inkmill.records.jobs import Job


def find_page(connection: Connection, job: str, page: str) -> tuple[Job, Item, bytes]:
    """A job's item with its file, by the number in the table's column ``item``.

    Raises NotFound, UsageError.
    """
    record = load_job(connection.store, job)
    if not record.form:
        raise UsageError(f"job {job} has no form: corners are for pages of a form")
    if not page.isdecimal() or int(page) >= record.items:
        raise UsageError(
            f"{page!r} is not a page of job {job}: give the number in the column item, "
            f"0 to {record.items - 1}"
        )
    item, data = next(originals(connection, record, [int(page)]), (None, b""))
    if item is None or not data:
        raise NotFound(f"page {page} of job {job}: its scan is no longer stored")
    return record, item, data
