"""What became of each document of a job: its pages in the order in which they came."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inkmill.codes import Code, Status
from inkmill.errors import UsageError
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection
from inkmill.producer.tables.export import results
from inkmill.producer.tables.output_file import opened
from inkmill.records.rows import Row

if TYPE_CHECKING:
    from inkmill.template.form import Form
    from inkmill.template.templates import Templates

COLUMNS = ("key", "form", "source", "pages", "missing", "doubled", "out_of_order", "in_error")
_UNREAD = "?"


@dataclass(frozen=True)
class Placed:
    """A page of a document: its place in its file, its page of the form (0: unknown), its state."""

    item: int
    source: str
    position: int
    page: int
    lost: bool


@dataclass(frozen=True)
class Document:
    """A document and the pages that came for it, in the order of the items.

    ``count`` is how many pages its form has, 0 if the form is not known.
    """

    key: str
    form: str
    count: int
    pages: tuple[Placed, ...]

    @property
    def missing(self) -> list[int]:
        """Pages of the form that did not come, or could not be read."""
        return [page for page in range(1, self.count + 1) if page not in self._read]

    @property
    def doubled(self) -> list[int]:
        """Pages of the form that came more than once."""
        read = self._read
        return sorted({page for page in read if read.count(page) > 1})

    @property
    def out_of_order(self) -> bool:
        """Whether pages of one file come before others that they follow on paper."""
        places = [(each.source, each.position, each.page) for each in self.pages if each.page]
        return any(
            one[0] == other[0] and one[2] > other[2]
            for one, other in zip(sorted(places), sorted(places)[1:], strict=False)
        )

    @property
    def _read(self) -> list[int]:
        return [each.page for each in self.pages if each.page and not each.lost]

    def cells(self) -> list[str]:
        """The line of the table; see `COLUMNS`."""
        lost = [str(each.item) for each in self.pages if each.lost]
        return [
            self.key,
            self.form,
            "; ".join(dict.fromkeys(each.source for each in self.pages)),
            " ".join(str(each.page or _UNREAD) for each in self.pages),
            " ".join(map(str, self.missing)),
            " ".join(map(str, self.doubled)),
            "yes" if self.out_of_order else "",
            " ".join(lost),
        ]


def export_documents(
    connection: Connection, job: str, output: str | os.PathLike[str] | None, partial: bool = False
) -> int:
    """Write a job's documents as CSV, to standard output without ``output``; returns how many.

    Raises UsageError for a job without a form, and what `results` raises.
    """
    record = load_job(connection.store, job)
    if not record.form:
        raise UsageError(f"job {job} has no form: documents are of pages of a form")
    from inkmill.producer.tables.settlement import templates_of

    found = documents(results(job, partial=partial, connection=connection), templates_of(record))
    path = None if output is None or os.fspath(output) == "-" else Path(output)
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        csv.writer(text, lineterminator="\n").writerows(
            [COLUMNS, *(each.cells() for each in found)]
        )
        text.flush()
        text.detach()
    return len(found)


def documents(rows: Iterable[Row], templates: Templates) -> list[Document]:
    """The documents of a job by their first item; ``rows`` are settled."""
    by_key: dict[tuple[str, str], list[Placed]] = {}
    by_file: dict[tuple[str, str], list[Placed]] = {}
    for row in rows:
        lost = row.status is Status.ERROR and row.code is not Code.DUPLICATE
        page = row.form_page if not lost or row.document_key else 0
        placed = Placed(row.item, row.source, row.page, page, lost)
        kept = by_key if row.document_key else by_file
        kept.setdefault((row.form_hash, row.document_key or row.source), []).append(placed)
    made = [
        _document(key, templates.of_hash(form_hash), pages)
        for (form_hash, key), pages in by_key.items()
    ]
    for (form_hash, _), pages in by_file.items():
        form = templates.of_hash(form_hash)
        made += [_document("", form, part) for part in _parts(pages, form)]
    return sorted(made, key=lambda each: each.pages[0].item)


def _document(key: str, form: Form | None, pages: Sequence[Placed]) -> Document:
    ordered = tuple(sorted(pages, key=lambda each: each.item))
    return Document(key, form.name if form else "", form.page_count if form else 0, ordered)


def _parts(pages: Sequence[Placed], form: Form | None) -> Iterator[list[Placed]]:
    """The documents of a file without keys, as `inkmill.rules.documents` takes them."""
    count = form.page_count if form is not None else 1
    seen = [each.page for each in pages if each.page]
    if max(each.position for each in pages) <= count and len(set(seen)) == len(seen):
        yield list(pages)
        return
    by_begin: dict[int, list[Placed]] = {}
    for each in pages:
        begin = each.position - (each.page or (each.position - 1) % count + 1)
        by_begin.setdefault(begin, []).append(each)
    yield from by_begin.values()
