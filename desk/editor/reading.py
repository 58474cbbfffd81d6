"""Readings of a draft's scans: a small job for the workers, deleted as soon as it was looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from inkmill.errors import NotFound, UsageError
from inkmill.producer import Connection, delete, results, status, submit
from inkmill.records.rows import Row
from inkmill.template.form import Form

#: A job that nobody fetches is deleted after so many days.
_DAYS = 1


def _label(draft: str) -> str:
    """The name of a draft's job: a second reading replaces the first."""
    return f"try-{draft}"


def start(connection: Connection, draft: str, form: Form, scans: Mapping[str, bytes]) -> None:
    """Have scans read with a template; ``scans`` are pictures by their digests.

    Raises UsageError if no worker is there to read them.
    """
    if not scans:
        raise UsageError("there is nothing to read: add a scan first")
    if not connection.queue.workers():
        raise UsageError("no worker is running: start one with `inkmill worker`, then try again")
    drop(connection, draft)
    with tempfile.TemporaryDirectory(prefix="inkmill-desk-") as folder:
        for digest, data in scans.items():
            Path(folder, f"{digest}.png").write_bytes(data)
        submit(
            folder,
            form=form,
            name=_label(draft),
            priority="high",
            retention_days=_DAYS,
            on_done="",
            connection=connection,
        )


def fetch(connection: Connection, draft: str) -> dict[str, Any] | None:
    """What was read, by the scans' digests; None as long as workers are at it.

    The job is deleted then. Raises NotFound if nothing is being read.
    """
    label = _label(draft)
    if status(label, connection=connection).state != "finished":
        return None
    found = {
        PurePosixPath(row.source).stem: _reading(row)
        for row in results(label, connection=connection)
    }
    drop(connection, draft)
    return found


def drop(connection: Connection, draft: str) -> None:
    """Delete a draft's job, if there is one."""
    with suppress(NotFound):
        delete(_label(draft), connection=connection)


def _reading(row: Row) -> dict[str, Any]:
    return {
        "message": row.message,
        "fields": {
            field.name: {"value": field.value or field.raw, "status": str(field.status)}
            for field in row.fields
        },
    }
