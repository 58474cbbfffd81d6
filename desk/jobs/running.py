"""Submits what was handed in, in a thread of the server that was asked to."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inkmill.desk.context import DeskContext
from inkmill.desk.jobs.submits import DONE, FAILED, Choice, File, Submit, Submits
from inkmill.errors import InkmillError, PreconditionFailed, UsageError
from inkmill.producer import Sending, SubmitOptions, submit
from inkmill.urls import redact

log = logging.getLogger(__name__)

#: Seconds between two renewals of the record.
_BEAT_SECONDS = 3.0
#: Characters of a reason that the record keeps.
_MOST_MESSAGE = 5_000


def start(context: DeskContext, claimed: Submit, etag: str) -> threading.Thread:
    """Submit in the background; the record says how it goes and how it ended."""
    runner = _Runner(context, claimed, etag)
    # A daemon: a server that stops leaves the record to be claimed by another one.
    thread = threading.Thread(target=runner.run, name=f"submit-{claimed.id}", daemon=True)
    thread.start()
    return thread


@contextmanager
def options_of(choice: Choice) -> Iterator[SubmitOptions]:
    """The options for `inkmill.submit`; files of the form lie in a folder until the context ends.

    Errors name these files as the person named them.
    """
    with tempfile.TemporaryDirectory(prefix="inkmill-desk-") as folder:
        options = SubmitOptions(
            priority=choice.priority,
            model=choice.model,
            doubles=choice.doubles,
            new_revision=choice.new_revision,
        )
        if choice.name:
            options["name"] = choice.name
        if choice.retention_days >= 0:
            options["retention_days"] = choice.retention_days
        for number, (name, text) in enumerate(choice.templates):
            # The number keeps two files of one name apart; messages show the name as it was given.
            path = Path(folder, f"{number:03d}", Path(name).name or "template.yaml")
            path.parent.mkdir()
            path.write_text(text, encoding="utf-8")
            options["form"] = path
        if len(choice.templates) > 1:
            options["form"] = None
            options["forms"] = _together(Path(folder))
        if choice.expect is not None:
            options["expect"] = _laid_out(Path(folder, "expect"), choice.expect)
        if choice.keys is not None:
            options["keys"] = _laid_out(Path(folder, "keys"), choice.keys)
        try:
            yield options
        except InkmillError as error:
            named = re.sub(rf"{re.escape(folder)}/(?:[^/\s]+/)?", "", str(error))
            error.args = (named, *error.args[1:])
            raise


def _laid_out(folder: Path, file: File) -> Path:
    folder.mkdir()
    path = folder / (Path(file[0]).name or "table.csv")
    path.write_text(file[1], encoding="utf-8")
    return path


def _together(folder: Path) -> Path:
    """One folder with all templates, whatever they are called."""
    together = folder / "templates"
    together.mkdir()
    for path in sorted(folder.glob("[0-9]*/*")):
        path.rename(together / f"{path.parent.name}-{path.stem}.yaml")
    return together


class _Runner:
    """One submit under way: the submitting thread, and one that renews the record."""

    def __init__(self, context: DeskContext, claimed: Submit, etag: str) -> None:
        self._context = context
        self._submits = Submits(context.store)
        self._record, self._etag = claimed, etag
        self._items, self._ended = 0, threading.Event()

    def run(self) -> None:
        """Submit, and write how it ended."""
        beats = threading.Thread(target=self._beat, daemon=True)
        beats.start()
        try:
            ended: dict[str, object] = {"state": DONE, "job": self._submit()}
        except InkmillError as error:
            ended = {"state": FAILED, "message": redact(str(error))[:_MOST_MESSAGE]}
        except Exception as error:
            log.exception("submit %s", self._record.id)
            ended = {
                "state": FAILED,
                "message": f"internal error: {type(error).__name__}. This is a bug in Inkmill; "
                "the log of the desk's server has the details",
            }
        self._ended.set()
        beats.join()
        try:
            self._submits.change(
                self._record, self._etag, beat=time.time(), items=self._items, **ended
            )
            if ended["state"] == DONE:
                self._submits.drop_files(self._record.id)
                self._tell_trail(str(ended["job"]))
        except InkmillError as error:
            # The record still says "running": it can be continued in a minute.
            log.warning("submit %s: %s", self._record.id, redact(str(error)))

    def _submit(self) -> str:
        record = self._record
        with tempfile.TemporaryDirectory(prefix="inkmill-desk-") as folder:
            source = record.source or self._lay_out(Path(folder))
            with options_of(record.choice) as options:
                return submit(
                    source,
                    connection=self._context.connection,
                    progress=self._progress,
                    **options,
                )

    def _lay_out(self, folder: Path) -> str:
        """Write the dropped files below a folder, under their names."""
        for each in self._submits.files(self._record.id):
            path = folder / each.name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.write(each.data)
                    if each.too_large:
                        file.truncate(each.too_large)  # sparse: refused by its size, never read
            except OSError as error:
                raise UsageError(
                    f"{each.name}: cannot be written on the desk's server ({error.strerror}): "
                    "rename the file, or free space in its temporary folder"
                ) from None
        return str(folder)

    def _progress(self, sending: Sending) -> None:
        self._items = sending.items

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                self._record, self._etag = self._submits.change(
                    self._record, self._etag, beat=time.time(), items=self._items
                )
            except PreconditionFailed:
                return  # another server took over: the same job, stored once
            except InkmillError as error:
                log.warning("submit %s: %s", self._record.id, redact(str(error)))

    def _tell_trail(self, label: str) -> None:
        job = self._context.connection.jobs.get(label).job
        self._context.trail.add(
            self._record.person,
            "submit",
            f"{label}, from {self._record.source or 'dropped files'}",
            job=job,
        )
