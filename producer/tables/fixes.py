"""Rows of pages that were read again with corners given by hand: they replace the original rows.

Each is stored beside the original result, which stays unchanged.
"""

from __future__ import annotations

from inkmill import names
from inkmill.backends.store import Store
from inkmill.records import rows
from inkmill.records.rows import Row


def keep(store: Store, job: str, row: Row) -> None:
    """Store a row that replaces the original row of its item."""
    store.put(names.fix(job, row.item), rows.encode([row]))


def kept(store: Store, job: str) -> dict[int, Row]:
    """The replacement rows, by item."""
    found = (rows.decode(store.get(entry.key).data)[0] for entry in store.list(names.fixes(job)))
    return {row.item: row for row in found}
