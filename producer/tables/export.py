"""Read a job's rows in the order of its items, and export them as files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import NotFinished, NotFound, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.purge import check_values
from inkmill.lifecycle.summary import has_one_chunk, load_summary
from inkmill.producer.connection import Connection, connect
from inkmill.producer.overlap import overlapped
from inkmill.producer.tables import fixes, row_counts
from inkmill.producer.tables.columns import NO_FORM, table_of
from inkmill.producer.tables.output_file import opened
from inkmill.producer.tables.writers import BINARY, FORMATS, writer
from inkmill.records import rows
from inkmill.records.jobs import Job
from inkmill.records.rows import Row

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
    """Read the rows of a job: one per item, in the order of the items.

    They include values that people entered, and rules over several pages. Rows are read while they
    are iterated, so memory does not grow with their number, unless the form has such rules.

    Args:
        job: The job's name or id.
        partial: Also accept an unfinished job, and return the rows that it has so far.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        An iterator over `Row` objects.

    Raises:
        NotFound: There is no such job.
        NotFinished: The job is not finished, and ``partial`` is not set.
        UsageError: The values were deleted by `inkmill purge`.
        SettingsError: A setting is wrong.
        Unreachable: S3 does not answer. Redis is not needed.
        StoreDenied: S3 refuses the request.

    Example:
        for row in results("district-7"):
            print(row.source, row.page, row.status, {f.name: f.value for f in row.fields})
    """
    connection = connection or connect(settings)
    if (only := _only_rows(connection, job)) is not None:
        return iter(only)
    record = load_job(connection.store, job)
    standing = reconcile.standing(connection.store, record)
    if not standing.finished:
        check_values(connection.store, record)
    if not standing.finished and not partial:
        raise NotFinished(
            f"job {job} is not finished: {standing.left} of {len(standing.written)} chunks have no "
            "rows yet"
            + ("" if standing.job.sealed else ", and more may come")
            + f"; `inkmill wait {job}`, or export the rows so far with --partial"
        )
    numbers = sorted(standing.done)
    if not record.form:
        return stored_rows(connection, record, numbers)
    # Loads the template's parser, which a producer of digit images has no need of.
    from inkmill.producer.tables.settlement import settlement

    # Before the events are read: what comes in between is then seen as not yet counted.
    end = None if partial else load_summary(connection.store, record)
    digest = row_counts.basis(connection.store, record, end.finished) if end else ""
    settle = settlement(connection.store, record).settle
    found = settle(
        lambda: stored_rows(connection, record, numbers),
        lambda: stored_rows(connection, record, numbers, heads=True),
    )
    return row_counts.counted(connection.store, record.job, digest, found) if digest else found


def _only_rows(connection: Connection, job: str) -> list[Row] | None:
    """The rows of a finished job of one chunk, without a form: nothing changes them any more."""
    record = connection.jobs.get(job)
    if record.form or not has_one_chunk(record):
        return None
    try:
        return rows.decode(connection.store.get(names.result(record.job, 0)).data)
    except NotFound:
        return None


def stored_rows(
    connection: Connection, record: Job, numbers: Iterable[int], *, heads: bool = False
) -> Iterator[Row]:
    """The rows as workers wrote them, or as pages were read again (`inkmill fix`).

    With ``heads``, without their fields: a tenth of the time and memory.
    """
    fixed = fixes.kept(connection.store, record.job)

    def read(number: int) -> list[Row]:
        stored = connection.store.get(names.result(record.job, number))
        found = rows.decode(stored.data, heads)
        return [fixed.get(row.item, row) for row in found] if fixed else found

    for part in overlapped(read, numbers, threads=_THREADS, ahead=_AHEAD):
        yield from part


def export(
    job: str,
    output: str | os.PathLike[str] | None = None,
    *,
    kind: str | None = None,
    long: bool = False,
    partial: bool = False,
    excel_safe: bool = False,
    bom: bool = False,
    form: str | None = None,
    settings: Settings | None = None,
    connection: Connection | None = None,
) -> int:
    """Write the rows of a job as a table.

    Args:
        job: The job's name or id.
        output: The file to write, which appears only when it is complete; None or "-" is standard
            output.
        kind: "csv", "jsonl", "parquet" or "xlsx"; by default the extension of ``output``, else
            "csv".
        long: Write one line per field instead of one per page.
        partial: Also accept an unfinished job, and write the rows that it has so far.
        excel_safe: In CSV, put an apostrophe before text that a spreadsheet would take for a
            formula.
        bom: In CSV, begin with a byte order mark, without which Excel takes UTF-8 for the code page
            of its system.
        form: Only pages read with the template of this name; "-" for those whose form was not
            detected.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
    Returns:
        The number of lines, without the header.

    Raises:
        NotFound: There is no such job.
        NotFinished: The job is not finished, and ``partial`` is not set.
        UsageError: The format, the form or the output is wrong.
        SettingsError: A setting is wrong.
        Unreachable: S3 does not answer. Redis is not needed.
        StoreDenied: S3 refuses the request.

    Example:
        export("district-7", "district-7.parquet")
    """
    connection = connection or connect(settings)
    kind = kind or _kind_of(output)
    write = writer(kind, excel_safe, bom)
    record = load_job(connection.store, job)
    table = table_of(record, long, _with_sources(connection, record), form)
    rows = results(job, partial=partial, connection=connection)
    if form is not None:
        wanted = "" if form == NO_FORM else form
        rows = (row for row in rows if row.form == wanted)
    path = None if output is None or os.fspath(output) == "-" else Path(output)
    if path is None and kind in BINARY and sys.stdout.isatty():
        raise UsageError(f"{kind} cannot be written to a terminal: name a file with -o")
    with opened(path) as file:
        return write(file, table, rows)


def _with_sources(connection: Connection, record: Job) -> bool:
    """Whether values may come from a person or a rule: then the table says from whom."""
    if not record.form:
        return False
    from inkmill.producer.tables.settlement import templates_of

    repairs = any(field.repair for form in templates_of(record) for field in form.all_fields)
    return repairs or next(iter(connection.store.list(names.events(record.job))), None) is not None


def _kind_of(output: str | os.PathLike[str] | None) -> str:
    suffix = Path(output).suffix.lower().lstrip(".") if output is not None else ""
    return suffix if suffix in FORMATS else "csv"
