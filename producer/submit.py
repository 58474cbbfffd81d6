"""From images to a job: what was asked for, checked and put together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import UsageError
from inkmill.jobs import ANY_PRECISION, PINNED, PRECISIONS, Job, Options
from inkmill.producer import pack
from inkmill.producer.connection import Connection, connect
from inkmill.producer.inputs import Inputs, named
from inkmill.producer.pin import choose_model
from inkmill.producer.submission import Sending, Submission

if TYPE_CHECKING:
    from inkmill.form import Form
    from inkmill.settings import Settings

PathLike = str | os.PathLike[str]


def submit(
    paths: PathLike | Iterable[PathLike],
    *,
    form: PathLike | Form | None = None,
    name: str | None = None,
    model: str = PINNED,
    priority: str = "normal",
    chunk_size: int | None = None,
    expect: PathLike | None = None,
    new_revision: bool = False,
    retention_days: int | None = None,
    precision: str = ANY_PRECISION,
    settings: Settings | None = None,
    connection: Connection | None = None,
    progress: Callable[[Sending], None] | None = None,
) -> str:
    """Turn images into a job and send it; returns the job's id.

    ``paths`` are files, folders, globs, "-" (a list on standard input) or s3://bucket/prefix.
    With ``form``, each page is read by that template; without, each image is one digit.
    ``name`` is the job's id; the same name with the same inputs, form and options goes on where
    an earlier submit stopped and does nothing twice. ``model`` is "pinned" (the version that is
    latest now), "follow" or a version. ``precision`` is "any" (the fastest on each host that
    changes no accepted digit) or a fixed one. ``expect`` lists sources that must come.
    ``progress`` is called after each chunk.

    Raises UsageError for what cannot be submitted, JobMismatch when the name is taken by another
    job (unless ``new_revision``), Unreachable or StoreDenied.
    """
    connection = connection or connect(settings)
    if name is not None:  # what is submitted by name is looked at closely
        connection.latest.forget(connection.settings.model)
    submission = Submission(
        connection,
        Inputs(named(paths), connection.settings.input_buckets, connection.bucket),
        draft(connection, form, model, priority, chunk_size, retention_days, precision),
        Path(expect) if expect is not None else None,
        progress or (lambda _: None),
    )
    if name is None:
        return submission.unnamed()
    return submission.named(names.check_job(name), new_revision)


def draft(
    connection: Connection,
    form: PathLike | Form | None,
    model: str,
    priority: str,
    chunk_size: int | None,
    retention_days: int | None,
    precision: str = ANY_PRECISION,
) -> Job:
    """The job's record as far as the options say it: no id and no inputs yet."""
    settings = connection.settings
    if isinstance(form, str | os.PathLike):
        from inkmill.form import Form

        form = Form.load(Path(form))
    names.queue(priority)
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: use one of {', '.join(PRECISIONS)}")
    size = pack.chunk_size(chunk_size, settings.chunk_size, form is not None)
    policy, version = choose_model(
        connection.store, settings.model, model, connection.latest.get
    )
    return Job(
        job="",
        created=time.time(),
        options=Options(settings.model, policy, priority, size, precision),
        version=version,
        form=form.to_text() if form else "",
        form_name=form.name if form else "",
        form_hash=form.hash if form else "",
        retention_days=settings.retention_days if retention_days is None else retention_days,
    )
