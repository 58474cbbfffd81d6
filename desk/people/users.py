"""People: a record for each in the bucket, with the hash of the password."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store, Stored
from inkmill.backends.ttl_cache import TTLCache
from inkmill.desk.people import passwords
from inkmill.desk.people.roles import Role
from inkmill.errors import Corrupt, NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import Length, Timestamp, Within, one_of

log = logging.getLogger(__name__)

_SCHEMA = 1
#: Seconds after which a server notices that another one changed a person.
CACHED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Person:
    """A person who may sign in.

    ``password`` is an argon2id hash; "" for one who cannot sign in with a password. ``epoch``
    changes whenever the password does: sessions of an older epoch are over.
    """

    name: Annotated[str, Length(1, 80)]
    role: Annotated[str, one_of(Role)]
    password: Annotated[str, Length(0, 300)]
    epoch: Annotated[str, Length(1, 80)]
    created: Timestamp
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def may(self, role: Role) -> bool:
        """Whether this person's role includes ``role``."""
        return Role(self.role).may(role)


class People:
    """The people of a bucket. Every method may raise Unreachable, StoreDenied or Corrupt."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: TTLCache[Person] = TTLCache(CACHED_SECONDS, self._read)

    def get(self, name: str) -> Person:
        """A person by name, at most a few seconds old. Raises NotFound."""
        return self._known.get(name)

    def all(self) -> Iterator[Person]:
        """Everybody, by name, at most a few seconds old; a damaged record is passed over, and keeps
        nobody else out."""
        for entry in self._store.list(names.desk_people()):
            try:
                yield self.get(names.desk_person_of(entry.key))
            except NotFound:
                continue  # removed meanwhile
            except (Corrupt, UsageError) as error:
                log.warning("skipped %s: %s", entry.key, error)

    def add(self, name: str, role: Role, password: str) -> Person:
        """Add a person; an empty password is one that nobody can type.

        Raises UsageError if the name is taken or unusable, or the password too weak.
        """
        hashed = passwords.hash_new(password, name) if password else ""
        person = Person(name, str(role), hashed, secrets.token_hex(8), time.time())
        key = names.desk_person(name)
        try:
            self._store.put(key, codec.encode(person, f"the person {name}"), if_none_match=True)
        except PreconditionFailed:
            raise UsageError(
                f"there is already a person called {name!r}: choose another name, or change the "
                f"password with `inkmill desk passwd {name}`"
            ) from None
        self._known.tell(name, person)
        return person

    def remove(self, name: str) -> None:
        """Remove a person, whose sessions are then over. Raises NotFound."""
        self._read(name)
        self._store.delete([names.desk_person(name)])
        self._known.forget(name)

    def set_password(self, name: str, password: str) -> Person:
        """Change a password; all sessions of the person are over. Raises NotFound, UsageError."""
        hashed = passwords.hash_new(password, name)
        return self._change(name, password=hashed, epoch=secrets.token_hex(8))

    def set_role(self, name: str, role: Role) -> Person:
        """Change what a person may do. Raises NotFound."""
        return self._change(name, role=str(role))

    def check(self, name: str, password: str) -> Person | None:
        """The person of this name and password; None if either is wrong.

        It takes equally long for a name that does not exist, so that names cannot be found out.
        """
        try:
            person = self._read(name)
        except (NotFound, Corrupt, UsageError):
            person = None
        stored = person.password if person is not None else ""
        return person if passwords.verify(stored, password) else None

    def somebody_can_sign_in(self) -> bool:
        """Whether anybody has a password."""
        return any(person.password for person in self.all())

    def _change(self, name: str, **changes: str) -> Person:
        while True:
            key = names.desk_person(name)
            stored = self._get(name, key)
            person = replace(codec.decode(Person, stored.data, key, schema=_SCHEMA), **changes)  # type: ignore[arg-type]
            try:
                self._store.put(
                    key, codec.encode(person, f"the person {name}"), if_match=stored.etag
                )
            except PreconditionFailed:
                continue  # somebody changed or removed the person meanwhile: look again
            self._known.tell(name, person)
            return person

    def _read(self, name: str) -> Person:
        key = names.desk_person(name)
        return codec.decode(Person, self._get(name, key).data, key, schema=_SCHEMA)

    def _get(self, name: str, key: str) -> Stored:
        try:
            return self._store.get(key)
        except NotFound:
            raise NotFound(
                f"there is no person called {name!r}: `inkmill desk list-users` lists them"
            ) from None
