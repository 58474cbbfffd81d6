"""Rows out of a job, in the order of its items, one result object after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inkmill import names, reconcile, rows
from inkmill.errors import NotFinished
from inkmill.producer.connection import Connection, connect
from inkmill.producer.overlap import overlapped
from inkmill.rows import Row

if TYPE_CHECKING:
    from inkmill.settings import Settings

_THREADS = 2
#: Result objects that are read in advance.
_AHEAD = 4


def results(
    job: str,
    *,
    partial: bool = False,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> Iterator[Row]:
    """The job's rows, one for each item, in order; memory does not grow with their number.

    With ``partial``, an unfinished job gives the rows that are there. Raises at once NotFound,
    and NotFinished without ``partial``.
    """
    connection = connection or connect(settings)
    standing = reconcile.standing(connection.store, reconcile.load_job(connection.store, job))
    if not standing.finished and not partial:
        left = len(standing.missing)
        raise NotFinished(
            f"job {job} is not finished: {left} of {len(standing.written)} chunks have no rows yet"
            + ("" if standing.job.sealed else ", and more may come")
            + f"; `inkmill wait {job}`, or take what is there with --partial"
        )
    return _rows(connection, job, sorted(standing.done & standing.written))


def _rows(connection: Connection, job: str, numbers: list[int]) -> Iterator[Row]:
    def read(number: int) -> list[Row]:
        return rows.decode(connection.store.get(names.result(job, number)).data)

    for part in overlapped(read, numbers, threads=_THREADS, ahead=_AHEAD):
        yield from part
