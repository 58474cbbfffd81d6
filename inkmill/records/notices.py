"""Notices that a job has ended: whom they go to, what they say, and how they wait in the bucket.

A job's record names its target: the address of a webhook, or the word `COMMAND` for the command
that the deployment's own settings name. A record can be written by whoever writes to the bucket, so
it can name neither a command nor an address outside the origins that the settings allow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from inkmill.errors import UsageError
from inkmill.records import codec
from inkmill.records.codec import ItemCount, Text, Timestamp, Within
from inkmill.records.jobs import MOST_TARGET, Job
from inkmill.records.summary import Summary
from inkmill.urls import origin

#: The target that is the command in the settings of whoever delivers.
COMMAND = "command"
#: What has happened. Names of events are part of the interface.
FINISHED, CANCELLED = "job.finished", "job.cancelled"

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice as it waits in the bucket.

    ``since`` is when the job ended, ``due`` when the next attempt may be made (seconds since the
    epoch), ``attempts`` how many were begun, ``error`` why the last one failed.
    """

    since: Timestamp
    due: Timestamp = 0.0
    attempts: ItemCount = 0
    error: Text = ""
    schema: Annotated[int, Within(1, _SCHEMA)] = _SCHEMA

    def encode(self) -> bytes:
        """The notice as an object."""
        return codec.encode(self, "a notice")

    @classmethod
    def decode(cls, data: bytes, name: str) -> Waiting:
        """The notice in an object; ``name`` is its key. Raises Corrupt, or Newer."""
        return codec.decode(cls, data, name, schema=_SCHEMA)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a receiver gets: an event with an id, by which it knows one that came before."""

    id: str
    body: bytes


def check_target(target: str, origins: Collection[str]) -> None:
    """Raises UsageError unless a notice may go to this target.

    ``origins`` are those that the settings allow, such as ``https://hooks.example.org``.
    """
    if target == COMMAND:
        return
    if len(target) > MOST_TARGET:
        raise UsageError(f"--on-done: an address has at most {MOST_TARGET} characters")
    try:
        found = origin(target)
    except ValueError as error:
        raise UsageError(
            f"--on-done: {error}: give a URL such as https://hooks.example.org/inkmill, or "
            f"the word {COMMAND}"
        ) from None
    if found not in origins:
        raise UsageError(
            f"--on-done: {found} is not an allowed origin of webhooks: add it to "
            "INKMILL_ON_DONE_ORIGINS, here and on the workers"
        )


def notice(job: Job, summary: Summary, *, cancelled: bool) -> Notice:
    """The notice of a job's end: the same id and body however often it is made."""
    kind = CANCELLED if cancelled else FINISHED
    text = f"{job.job}:{summary.finished!r}:{kind}"
    event = f"evt_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    ended = datetime.fromtimestamp(summary.finished, UTC).isoformat(timespec="milliseconds")
    content = {"id": event, "type": kind, "timestamp": ended, "data": _data(job, summary)}
    return Notice(event, json.dumps(content).encode())


def _data(job: Job, summary: Summary) -> dict[str, Any]:
    return {
        "id": job.job,
        "job": job.label,
        "created": job.created,
        "finished": summary.finished,
        "items": job.items,
        "rows": summary.rows,
        "statuses": dict(summary.statuses),
        "codes": dict(summary.codes),
        "form": job.form_name,
        "model": job.options.model,
        "version": job.version,
        "priority": job.options.priority,
    }
