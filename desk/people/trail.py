"""The audit trail: who signed in, looked at, changed and exported what, and when.

Each event is an object of its own, so that servers never wait for each other. Events about a job
lie in the job's folder and go with it; the rest, and that a job was deleted, lie below ``desk/``.
Views count once an hour for each person and page.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store
from inkmill.backends.ttl_cache import TTLCache
from inkmill.errors import Corrupt, NotFound
from inkmill.producer.overlap import overlapped
from inkmill.records import codec
from inkmill.records.codec import Length, NameOrEmpty, Text, Timestamp, Within

_SCHEMA = 1
_HOUR_SECONDS = 3600
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the trail: ``person`` did ``action`` (a word) at ``time``, with details."""

    time: Timestamp
    person: NameOrEmpty
    action: Annotated[str, Length(1, 40)]
    details: Text = ""
    job: NameOrEmpty = ""
    address: NameOrEmpty = ""
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


class Trail:
    """Writes and lists the trail. Every method may raise Unreachable or StoreDenied."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._viewed: TTLCache[None] = TTLCache(_HOUR_SECONDS, lambda _: None)

    def add(
        self, person: str, action: str, details: str = "", *, job: str = "", address: str = ""
    ) -> None:
        """Write an event; ``job`` is the id of the job it is about, if any."""
        deed = Deed(time.time(), person, action, details, job, address)
        self._put(deed, f"{int(deed.time * 1000):013d}-{secrets.token_hex(4)}")

    def viewed(self, person: str, what: str, *, job: str = "", address: str = "") -> None:
        """Write that somebody looked at a page, once an hour."""
        now = time.time()
        hour = int(now // _HOUR_SECONDS)
        digest = hashlib.sha256(f"{person}\n{what}\n{job}".encode()).hexdigest()[:16]
        stamp = f"{hour * _HOUR_SECONDS * 1000:013d}-{digest}"
        if self._viewed.has(stamp):
            return
        self._put(Deed(now, person, "view", what, job, address), stamp)
        self._viewed.tell(stamp, None)

    def of_job(self, job: str, most: int) -> list[Deed]:
        """The last ``most`` events about a job, newest first."""
        return self._list(names.trail(job), most)

    def of_day(self, day: str, most: int) -> list[Deed]:
        """The last ``most`` events of a day (YYYY-MM-DD, UTC) that are about no job."""
        return self._list(names.desk_trail(day), most)

    def _put(self, deed: Deed, stamp: str) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime(deed.time))
        folder = names.trail(deed.job) if deed.job else names.desk_trail(day)
        self._store.put(f"{folder}{stamp}.json", codec.encode(deed, "an event of the audit trail"))

    def _list(self, folder: str, most: int) -> list[Deed]:
        keys = [entry.key for entry in self._store.list(folder)][-most:]
        found = overlapped(self._read, keys, threads=_THREADS, ahead=4 * _THREADS)
        return sorted(filter(None, found), key=lambda deed: -deed.time)

    def _read(self, key: str) -> Deed | None:
        try:
            return codec.decode(Deed, self._store.get(key).data, key, schema=_SCHEMA)
        except (NotFound, Corrupt):
            return None
