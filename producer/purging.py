"""Deleting a part of a job: one law lets you keep pages for a year, another for a month."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from inkmill.lifecycle import purge as parts
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection, connect

if TYPE_CHECKING:
    from inkmill.settings import Settings


def purge(
    job: str,
    kinds: Iterable[str],
    *,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> int:
    """Delete kinds of a finished job's objects; its record and its counts stay.

    Args:
        job: The job's name or id.
        kinds: "pages" (scans, and evidence of those that were given up), "pictures" (small ones
            of pages that were not located), "values" (rows, entries of people, audits, review,
            and reports, which show them), "reports", "trail" (who did what at the desk).
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        The number of objects that were deleted.

    Raises:
        NotFound: There is no such job.
        NotFinished: Rows are missing: wait, cancel the job, or delete all of it.
        UsageError: A kind is unknown.
        SettingsError: A setting is wrong.
        Unreachable: Redis or S3 does not answer. Call it again.
        StoreDenied: S3 refuses the request.

    Example:
        purge("district-7", ["pages", "pictures"])
    """
    connection = connection or connect(settings)
    return parts.purge(connection.store, load_job(connection.store, job), kinds)
