"""Rows of pages that were read again with corners given by hand: they replace the original rows.

Each is stored beside the original result, which stays unchanged.
"""

from __future__ import annotations

from inkmill import names
from inkmill.backends.store import Store
from inkmill.errors import Corrupt
from inkmill.records import rows
from inkmill.records.rows import Row


def keep(store: Store, job: str, row: Row) -> None:
    """Store a row that replaces the original row of its item."""
    store.put(names.fix(job, row.item), rows.encode([row]))


def kept(store: Store, job: str) -> dict[int, Row]:
    """The replacement rows, by item. Raises Corrupt, or Newer."""
    found = dict[int, Row]()
    for entry in store.list(names.fixes(job)):
        replacing = rows.decode(store.get(entry.key).data)
        if len(replacing) != 1:
            raise Corrupt(f"{entry.key} is damaged: it has {len(replacing)} rows in place of one")
        found[replacing[0].item] = replacing[0]
    return found
