"""Pages of a job that could not be located, to read them again with corners given by hand."""

from __future__ import annotations

from functools import cached_property

from inkmill.codes import Code, Status
from inkmill.errors import NotFound, UsageError
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection
from inkmill.producer.tables import fixes
from inkmill.producer.tables.export import results
from inkmill.producer.tables.originals import originals
from inkmill.records.chunks import Item
from inkmill.records.rows import Row

#: Codes of pages on which a form was not found, though a person may find it.
_UNLOCATED = (Code.UNREGISTERED, Code.CUT_OFF, Code.FAINT, Code.WRONG_FORM)


class Fixer:
    """The pages of a job with a form. Raises NotFound, UsageError."""

    def __init__(self, connection: Connection, job: str) -> None:
        self._connection = connection
        self._job = job
        self.record = load_job(connection.store, job)
        if not self.record.form:
            raise UsageError(f"job {job} has no form: corners are for pages of a form")

    def find(self, page: str) -> tuple[Item, bytes]:
        """An item with its file, by the number in the table's column ``item``.

        Raises UsageError for no such number, NotFound if the scan is no longer stored.
        """
        if not page.isdecimal() or int(page) >= self.record.items:
            raise UsageError(
                f"{page!r} is not a page of job {self._job}: give the number in the column item, "
                f"0 to {self.record.items - 1}"
            )
        item, data = next(originals(self._connection, self.record, [int(page)]), (None, b""))
        if item is None or not data:
            raise NotFound(f"page {page} of job {self._job}: its scan is no longer stored")
        return item, data

    @cached_property
    def _reasons(self) -> dict[int, str]:
        rows = results(self._job, partial=True, connection=self._connection)
        return {
            row.item: row.message
            for row in rows
            if row.status is Status.ERROR and row.code in _UNLOCATED
        }

    def unlocated(self) -> list[int]:
        """The numbers of the pages that were not located, in order."""
        return sorted(self._reasons)

    def reason(self, item: int) -> str:
        """Why a page was not located; empty if it was."""
        return self._reasons.get(item, "")

    def keep(self, row: Row) -> None:
        """Store a page's new row, which counts from now on."""
        fixes.keep(self._connection.store, self.record.job, row)
