"""Job ids, and the names that point to them.

A job lives below ``jobs/<id>/``; its id is random and never used again. A name is a pointer:
``names/<name>.json`` maps revision numbers to ids. Revisions are claimed, and given up, by
conditional writes, so that two submits never share one and no delete takes a newer job's name.

People and programs refer to a job by its id or by its label: ``survey`` is revision 1 of that
name, ``survey-r2`` revision 2. Labels and pairs of name and number correspond one to one.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Annotated

from inkmill import names
from inkmill.backends.store import Store, exists
from inkmill.errors import Corrupt, Newer, NotFound, PreconditionFailed, UsageError
from inkmill.records import codec
from inkmill.records.codec import ItemCount, Within
from inkmill.records.jobs import Job

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{16}")
_REVISION = re.compile(r"(?P<name>.+)-r(?P<number>[2-9]|[1-9]\d{1,5})")
_SCHEMA = 1
_REMEDY = "Delete that object: its jobs keep their ids, and the name can be used again"


def new_id() -> str:
    """A new job id: the time (UTC), so that listings are in order, and 64 random bits."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(8)}"


def is_id(reference: str) -> bool:
    """Whether a reference is a job id, and so no name."""
    return _ID.fullmatch(reference) is not None


def split_label(label: str) -> tuple[str, int]:
    """The name and the revision number that a label stands for.

    >>> split_label("survey-r2")
    ('survey', 2)
    >>> split_label("survey")
    ('survey', 1)
    """
    found = _REVISION.fullmatch(label)
    return (found["name"], int(found["number"])) if found else (label, 1)


@dataclass(frozen=True, slots=True)
class Name:
    """A name's pointer: the job id of each revision. ``etag`` is "" where there is no object."""

    name: str
    revisions: dict[int, str] = field(default_factory=dict)
    etag: str = ""

    def encode(self) -> bytes:
        """The pointer as an object, without its name and etag."""
        return codec.encode(
            _Record(self.revisions), f"the pointer of the name {self.name}", indent=1
        )


@dataclass(frozen=True, slots=True)
class _Record:
    """A name's pointer as it is stored."""

    revisions: dict[ItemCount, codec.Name]
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA


def read_name(store: Store, name: str) -> Name:
    """The pointer of a name, without revisions where nobody uses it. Raises Corrupt, or Newer."""
    key = names.name_pointer(name)
    try:
        stored = store.get(key)
    except NotFound:
        return Name(name)
    try:
        record = codec.decode(_Record, stored.data, key, schema=_SCHEMA)
    except Newer:
        raise
    except Corrupt as error:
        raise Corrupt(f"{error}. {_REMEDY}", error.data) from error
    try:
        for job in record.revisions.values():
            names.check_job(job)
    except UsageError as error:
        raise Corrupt(f"{key} is damaged: {error}. {_REMEDY}") from error
    return Name(name, record.revisions, stored.etag)


def check_label(label: str) -> str:
    """Return ``label`` if it is the label of a valid name, else raise UsageError.

    The name has at most 80 characters; its revision comes on top.
    """
    names.check_job(split_label(label)[0])
    return label


def resolve(store: Store, reference: str) -> str:
    """The id of the job that an id or a label refers to. Raises NotFound.

    An id is returned as it is, whether or not there is such a job.
    """
    if is_id(check_label(reference)):
        return reference
    name, number = split_label(reference)
    found = read_name(store, name).revisions.get(number)
    if found is None:
        raise no_such_job(reference)
    return found


def claim(store: Store, record: Job) -> None:
    """Point the record's name and revision to its job. The record must be in the store.

    A revision whose job was deleted is free. Raises PreconditionFailed where it is taken.
    """
    while True:
        pointer = read_name(store, record.name)
        holder = pointer.revisions.get(record.revision)
        if holder == record.job:
            return
        if holder is not None and exists(store, names.job_record(holder)):
            raise PreconditionFailed(f"the name {record.label} is taken by job {holder}")
        moved = Name(record.name, {**pointer.revisions, record.revision: record.job})
        try:
            _write(store, moved, pointer.etag)
            return
        except PreconditionFailed:
            continue  # somebody else moved another revision, or this one: look again


def release(store: Store, name: str, revision: int, job: str) -> None:
    """Take a job's revision out of its name's pointer, unless it points elsewhere by now."""
    while True:
        pointer = read_name(store, name)
        if pointer.revisions.get(revision) != job:
            return
        left = {number: each for number, each in pointer.revisions.items() if number != revision}
        try:
            if left:
                _write(store, Name(name, left), pointer.etag)
            else:
                store.delete_if_match(names.name_pointer(name), pointer.etag)
            return
        except (PreconditionFailed, NotFound):
            continue


def is_claimed(store: Store, record: Job) -> bool:
    """Whether the job's name points to it; a job without a name needs none."""
    if not record.name:
        return True
    return read_name(store, record.name).revisions.get(record.revision) == record.job


def no_such_job(reference: str) -> NotFound:
    """The error for a reference that leads to no job."""
    return NotFound(f"there is no job {reference!r}: `inkmill jobs` lists the jobs in the store")


def _write(store: Store, pointer: Name, etag: str) -> None:
    key, data = names.name_pointer(pointer.name), pointer.encode()
    if not etag:
        store.put(key, data, if_none_match=True)
        return
    try:
        store.put(key, data, if_match=etag)
    except NotFound as error:  # so says S3 of If-Match where the object is gone
        raise PreconditionFailed(f"{key} was deleted by somebody else") from error
