"""The one-time link by which the first administrator of a new desk signs in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Annotated

from inkmill import names
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.people.users import Person
from inkmill.errors import NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import Digest, Timestamp, Within

_SCHEMA = 1
_VALID_SECONDS = 3600.0
NAME = "admin"


@dataclass(frozen=True, slots=True)
class _Link:
    """The digest of the link's token, and until when it can be used."""

    token: Digest
    expires: Timestamp
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def make(context: DeskContext) -> str:
    """A new token for ``/first?token=``; an older one is then of no use."""
    token = secrets.token_urlsafe(32)
    link = _Link(hashlib.sha256(token.encode()).hexdigest(), time.time() + _VALID_SECONDS)
    context.store.put(names.desk_link(), codec.encode(link, "the one-time link"))
    return token


def redeem(context: DeskContext, token: str) -> Person:
    """The administrator that a token stands for; it works once. Raises UsageError."""
    gone = UsageError(
        "this link was used before or is too old: sign in with your password, or run "
        "`inkmill desk add-user NAME --role admin` on the server"
    )
    key = names.desk_link()
    try:
        stored = context.store.get(key)
    except NotFound:
        raise gone from None
    link = codec.decode(_Link, stored.data, key, schema=_SCHEMA)
    sent = hashlib.sha256(token.encode(errors="replace")).hexdigest()
    if not hmac.compare_digest(sent, link.token) or link.expires < time.time():
        raise gone
    try:
        context.store.delete_if_match(key, stored.etag)
    except PreconditionFailed:
        raise gone from None  # somebody was faster
    try:
        return context.people.get(NAME)
    except NotFound:
        return context.people.add(NAME, Role.ADMIN, "")
