"""The pictures that people look at: cut once from the page, then served from a folder.

A picture lies in a folder of its job, and its name is the SHA-256 of what it is cut from and how:
the file, the page, the place in the row, the template. So pictures are shared between rounds and
servers of one machine, none is ever outdated, and those of a job whose pages were deleted are found
and deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkmill import names
from inkmill.desk.review.cutting.cutter import Cutter
from inkmill.errors import InkmillError, ItemError, NotFound, StoreDenied, Unreachable
from inkmill.producer.connection import Connection
from inkmill.producer.tables.originals import originals
from inkmill.producer.tables.settlement import templates_of
from inkmill.records.jobs import Job
from inkmill.records.rows import Row

log = logging.getLogger(__name__)

#: The folder is tidied when it holds more than this many bytes: the oldest pictures go.
_MOST_BYTES = 4 * 2**30
_TIDY_SECONDS = 3600.0
#: Pictures of jobs that were deleted, or whose pages were, are removed this often (seconds).
_FORGET_SECONDS = 300.0

#: A picture that another thread is to cut is waited for so long (seconds).
_PATIENCE_SECONDS = 60.0

FIELD, CELL, AROUND, PAGE = "field", "cell", "around", "page"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture: of a field, one of its cells, the page with a frame around it, or the page."""

    row: Row
    kind: str
    field: str = ""
    cell: int = 0

    def view(self) -> dict[str, Any]:
        """What the process that cuts it is told."""
        transform = () if self.kind == PAGE else self.row.transform
        return {
            "kind": self.kind,
            "field": self.field,
            "cell": max(self.cell, 0),
            "transform": transform,
        }

    @property
    def digest(self) -> str:
        """The name of the picture, by what it shows."""
        content = [self.row.sha256, self.row.source, self.row.page, self.row.form_hash]
        return hashlib.sha256(json.dumps([content, self.view()]).encode()).hexdigest()


class Pictures:
    """The pictures of one server process; ``folder`` may be shared with others."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self.cutter = Cutter(connection.settings)
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        #: What is being cut: set as soon as it is there, or could not be cut.
        self._making = dict[Path, threading.Event]()
        self._tidied = 0.0
        self._forgot = float("-inf")

    def get(self, record: Job, wanted: Wanted) -> bytes:
        """A picture: PNG, or JPEG of a page. Raises NotFound where the page is no longer stored."""
        self._forget()
        path = self._path(record, wanted)
        with suppress(OSError):
            return path.read_bytes()
        if (others := self._making.get(path)) is not None:
            others.wait(_PATIENCE_SECONDS)
        self.make(record, [wanted])
        try:
            return path.read_bytes()
        except OSError:
            raise NotFound(
                f"item {wanted.row.item} of job {record.label}: its page is no longer stored, or "
                "cannot be decoded"
            ) from None

    def make(self, record: Job, wanted: Iterable[Wanted]) -> None:
        """Cut what is not there yet, nor being cut by another thread; each page is decoded once."""
        missing = defaultdict[int, list[Wanted]](list)
        mine = dict[Path, threading.Event]()
        for each in wanted:
            path = self._path(record, each)
            if not path.exists():
                made = threading.Event()
                if self._making.setdefault(path, made) is made:
                    mine[path] = made
                    missing[each.row.item].append(each)
        try:
            if missing:
                self._cut(record, missing)
        finally:
            for path, made in mine.items():
                self._making.pop(path)
                made.set()

    def _cut(self, record: Job, missing: Mapping[int, list[Wanted]]) -> None:
        templates = templates_of(record)
        for item, data in originals(self._connection, record, list(missing)):
            views = missing[item.item]
            form = templates.of_hash(views[0].row.form_hash)
            if not data:
                continue
            try:
                text = form.to_text() if form is not None else ""
                made = self.cutter.cut(data, item.page, text, [each.view() for each in views])
            except ItemError as error:
                log.warning("item %d of job %s: %s", item.item, record.label, error)
                continue
            for each, picture in zip(views, made, strict=True):
                path = self._path(record, each)
                self._keep(path, picture)
                self._making[path].set()
        self._tidy()

    def make_ahead(self, record: Job, wanted: Sequence[Wanted]) -> None:
        """Cut pictures that will be asked for soon, beside what this process answers."""
        self._ahead.submit(self._make_quietly, record, wanted)

    def close(self) -> None:
        """End what is running."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self.cutter.close()

    def _make_quietly(self, record: Job, wanted: Sequence[Wanted]) -> None:
        try:
            self.make(record, wanted)
        except (InkmillError, OSError) as error:
            log.info("pictures of job %s were not cut ahead: %s", record.label, error)

    def _path(self, record: Job, wanted: Wanted) -> Path:
        digest = wanted.digest
        return self._folder / record.job / digest[:2] / digest

    def _keep(self, path: Path, picture: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
            file.write(picture)
        Path(file.name).replace(path)

    def _forget(self) -> None:
        """Remove the pictures of jobs whose pages are no longer stored."""
        if time.monotonic() - self._forgot < _FORGET_SECONDS:
            return
        self._forgot = time.monotonic()
        for folder in self._folder.glob("*"):
            if not self._has_pages(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def _has_pages(self, job: str) -> bool:
        if not names.is_job(job):
            return False
        try:
            return next(iter(self._connection.store.list(names.chunks(job))), None) is not None
        except (Unreachable, StoreDenied):
            return True

    def _tidy(self) -> None:
        """Remove the oldest pictures once there are too many."""
        if time.monotonic() - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        found = []
        for path in self._folder.glob("*/*/*"):
            with suppress(OSError):
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in found)
        most = _MOST_BYTES // 2 if total > _MOST_BYTES else total
        for _, size, path in sorted(found):
            if total <= most:
                break
            with suppress(OSError):
                path.unlink()
            total -= size
