"""How large an object may be, by its key."""

from __future__ import annotations

from inkmill.names.jobs import EXPIRY, OPEN, OUTBOX

#: Bytes of a record (JSON, and markers), and of any other object of Inkmill's.
_MOST_RECORD, _MOST_OBJECT = 256 * 2**20, 4 * 2**30


def most_bytes(key: str) -> int:
    """What the object of a key may hold at most: a larger one is not read into memory."""
    is_record = key.endswith(".json") or key.startswith((OPEN, EXPIRY, OUTBOX))
    return _MOST_RECORD if is_record else _MOST_OBJECT
