"""From images to a job: what was asked for, checked and put together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.errors import UsageError
from inkmill.producer.connection import Connection, connect
from inkmill.producer.inputs import pack
from inkmill.producer.inputs.document_keys import read_keys
from inkmill.producer.inputs.sources import Inputs, named
from inkmill.producer.model_choice import choose_model
from inkmill.producer.submission.progress import Sending
from inkmill.producer.submission.submission import Submission
from inkmill.records.jobs import ANY_PRECISION, DOUBLES, HOLD, PINNED, PRECISIONS, Job, Options

if TYPE_CHECKING:
    from inkmill.settings import Settings
    from inkmill.template.form import Form
    from inkmill.template.templates import Templates

PathLike = str | os.PathLike[str]


def submit(
    paths: PathLike | Iterable[PathLike],
    *,
    form: PathLike | Form | None = None,
    forms: PathLike | None = None,
    name: str | None = None,
    model: str = PINNED,
    priority: str = "normal",
    chunk_size: int | None = None,
    expect: PathLike | None = None,
    keys: PathLike | None = None,
    doubles: str = HOLD,
    new_revision: bool = False,
    retention_days: int | None = None,
    precision: str = ANY_PRECISION,
    settings: Settings | None = None,
    connection: Connection | None = None,
    progress: Callable[[Sending], None] | None = None,
) -> str:
    """Turn images into a job and send it; returns the job's id.

    ``paths`` are files, folders, globs, "-" (a list on standard input) or s3://bucket/prefix.
    With ``form``, each page is read by that template; with ``forms``, a folder of templates, by
    the one that its page code names, or that fits it; without, each image is one digit.
    ``name`` is the job's id; the same name with the same inputs, form and options goes on where
    an earlier submit stopped and does nothing twice. ``model`` is "pinned" (the version that is
    latest now), "follow" or a version. ``precision`` is "any" (the fastest on each host that
    changes no accepted digit) or a fixed one. ``expect`` lists sources that must come.
    ``keys`` is a table (CSV) of documents' keys by source, and ``doubles`` says what holds where
    a document has a page more than once: "hold", "keep", "first" or "last".
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
        draft(
            *(connection, form, forms, model, priority, chunk_size, retention_days, precision),
            *(keys is not None, doubles),
        ),
        Path(expect) if expect is not None else None,
        progress or (lambda _: None),
        read_keys(Path(keys)) if keys is not None else None,
    )
    if name is None:
        return submission.unnamed()
    return submission.named(names.check_job(name), new_revision)


def draft(
    connection: Connection,
    form: PathLike | Form | None,
    forms: PathLike | None,
    model: str,
    priority: str,
    chunk_size: int | None,
    retention_days: int | None,
    precision: str = ANY_PRECISION,
    keyed: bool = False,
    doubles: str = HOLD,
) -> Job:
    """The job's record as far as the options say it: no id and no inputs yet."""
    settings = connection.settings
    templates = load_templates(form, forms)
    names.queue(priority)
    for option, value, known in (
        ("--precision", precision, PRECISIONS),
        ("--doubles", doubles, DOUBLES),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: use one of {', '.join(known)}")
    if templates is None and (keyed or doubles != HOLD):
        raise UsageError("--keys and --doubles are about documents: they go with --form or --forms")
    size = pack.chunk_size(chunk_size, settings.chunk_size, templates is not None)
    latest = connection.latest.get
    policy, version = choose_model(connection.store, settings.model, model, latest)
    return Job(
        job="",
        created=time.time(),
        options=Options(settings.model, policy, priority, size, precision, keyed, doubles),
        version=version,
        form=templates.to_text() if templates else "",
        form_name=templates.name if templates else "",
        form_hash=templates.hash if templates else "",
        retention_days=settings.retention_days if retention_days is None else retention_days,
    )


def load_templates(form: PathLike | Form | None, forms: PathLike | None) -> Templates | None:
    """The template of ``form`` or those in the folder ``forms``; None for digit images.

    Raises FormError for what is no template or has fields that tables cannot hold, UsageError for
    both at once or an unfit folder.
    """
    if form is None and forms is None:
        return None
    if form is not None and forms is not None:
        raise UsageError("--form is one template, --forms a folder of several: give one of them")
    # Loads the template's parser, which a producer of digit images has no need of.
    from inkmill.producer.tables.columns import check_names
    from inkmill.template.form import Form
    from inkmill.template.templates import Templates

    if forms is not None:
        templates = Templates.load_folder(Path(forms))
    else:
        loaded = form if isinstance(form, Form) else Form.load(Path(os.fspath(form or "")))
        templates = Templates((loaded,))
    check_names(templates)
    return templates
