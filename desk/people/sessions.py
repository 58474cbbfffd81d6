"""Sessions: a random token in a cookie, and a record of it in the bucket.

The record is named by the token's SHA-256: who reads the bucket cannot take over a session. Any
server can check any session, and none is lost when Redis or a server dies.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store
from inkmill.backends.ttl_cache import TTLCache
from inkmill.desk.people.users import CACHED_SECONDS, People, Person
from inkmill.errors import Corrupt, NotFound
from inkmill.records import codec
from inkmill.records.codec import Length, Timestamp, Within

_SCHEMA = 1
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in, at that epoch of the password."""

    person: Annotated[str, Length(1, 80)]
    epoch: Annotated[str, Length(1, 80)]
    expires: Timestamp
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


class Sessions:
    """The sessions of a bucket; each ends ``seconds`` after it began."""

    def __init__(self, store: Store, people: People, seconds: float) -> None:
        self._store = store
        self._people = people
        self.seconds = seconds
        self._known: TTLCache[Session] = TTLCache(CACHED_SECONDS, self._read)

    def begin(self, person: Person) -> str:
        """Sign a person in; returns the token for the cookie."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = Session(person.name, person.epoch, time.time() + self.seconds)
        key = names.desk_session(_digest(token))
        self._store.put(key, codec.encode(session, "a session"))
        self._known.tell(_digest(token), session)
        return token

    def find(self, token: str) -> tuple[Session, Person] | None:
        """Whose session this is; None for one that is over, or that never was."""
        try:
            session = self._known.get(_digest(token))
            person = self._people.get(session.person)
        except (NotFound, Corrupt):
            return None
        if session.epoch != person.epoch or session.expires <= time.time():
            return None
        return session, person

    def end(self, token: str) -> None:
        """Sign out: other servers notice within a few seconds."""
        self._store.delete([names.desk_session(_digest(token))])
        self._known.forget(_digest(token))

    def sweep(self) -> int:
        """Delete the records of sessions that began too long ago; returns how many."""
        oldest = time.time() - self.seconds
        over = [
            entry.key
            for entry in self._store.list(names.desk_sessions())
            if entry.modified < oldest
        ]
        self._store.delete(over)
        return len(over)

    def _read(self, digest: str) -> Session:
        key = names.desk_session(digest)
        return codec.decode(Session, self._store.get(key).data, key, schema=_SCHEMA)


def csrf_token(person: Person) -> str:
    """What every form repeats that changes something.

    It is the person's until the password changes, not the session's: who has to sign in again, in
    another tab, can then send what was typed on a page of the session before.
    """
    return hmac.new(person.epoch.encode(), f"csrf {person.name}".encode(), "sha256").hexdigest()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
