"""From images to a job: the options are checked and put together into its record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from inkmill import names
from inkmill.errors import UsageError
from inkmill.lifecycle.identity import check_label, resolve
from inkmill.producer.connection import Connection, connect
from inkmill.producer.inputs import pack
from inkmill.producer.inputs.document_keys import read_keys
from inkmill.producer.inputs.expect import read_list
from inkmill.producer.inputs.source_names import named
from inkmill.producer.inputs.sources import STDIN, Inputs
from inkmill.producer.model_choice import choose_model, choose_strips_model
from inkmill.producer.submission.options import PathLike, SubmitOptions, complete, documented
from inkmill.producer.submission.progress import Sending
from inkmill.producer.submission.submission import Submission
from inkmill.records.jobs import HOLD, Job, Options
from inkmill.records.notices import check_target
from inkmill.traces import traces_of

if TYPE_CHECKING:
    from inkmill.settings import Settings
    from inkmill.template.form import Form
    from inkmill.template.templates import Templates


@documented
def submit(
    paths: PathLike | Iterable[PathLike],
    *,
    settings: Settings | None = None,
    connection: Connection | None = None,
    progress: Callable[[Sending], None] | None = None,
    **options: Unpack[SubmitOptions],
) -> str:
    """Create a job from images and send it to the workers.

    Images that cannot be read raise nothing: each gets a row with status "error". The function
    may be killed at any moment and called again with the same ``name``: nothing is stored, sent
    or read twice.

    Args:
        paths: One path or several: files (PNG, JPEG, TIFF, WebP, BMP, GIF, PDF), folders, glob
            patterns, ``s3://bucket/prefix``, or "-" for a list on standard input.
        **options: The options of ``inkmill submit``, as `SubmitOptions` lists them.
        settings: Servers and limits. By default they come from ``INKMILL_*`` and inkmill.toml.
        connection: A connection to reuse, from `inkmill.producer.connect`; it replaces
            ``settings``.
        progress: Called after each chunk with a `Sending`: items, bytes and chunks so far.

    Returns:
        The job's name (of a revision, with its number), or its id if it has no name: pass it to
        `wait`, `results` and the other functions.

    Raises:
        UsageError: A path, option or table is wrong, there are no images, or no model is
            published.
        FormError: A template is wrong.
        JobMismatch: ``name`` belongs to a job with other inputs, form or options, and
            ``new_revision`` is not set.
        JobBusy: Another submit is creating a job of this name at this moment.
        JobStopped: The job was cancelled or deleted during the upload.
        SettingsError: A setting is wrong.
        Unreachable: Redis or S3 does not answer. Submit again with the same ``name``, which the
            message gives if the job is already stored.
        StoreDenied: S3 refuses the request: credentials, bucket or permissions.

    Example:
        job = submit("scans/", form="tally.yaml", name="district-7")
        wait(job)
        for row in results(job):
            print(row.source, row.status, [field.value for field in row.fields])
    """
    connection = connection or connect(settings)
    chosen = complete(options)
    name, expect, keys = chosen["name"], chosen["expect"], chosen["keys"]
    if name is not None:  # a named submit compares with what is published now
        connection.latest.forget(connection.settings.model)
    submission = Submission(
        connection,
        Inputs(
            named(paths),
            connection.settings.input_buckets,
            connection.bucket,
            follow_symlinks=chosen["follow_symlinks"],
        ),
        draft(connection, chosen),
        expect=Path(expect) if expect is not None else None,
        progress=progress or (lambda _: None),
        keys=read_keys(Path(keys)) if keys is not None else None,
        rehash=chosen["rehash"],
        any_size=is_any_size(connection, chosen),
    )
    traces, began = traces_of(connection.settings), time.time_ns()
    if name is None:
        label = submission.unnamed()
    else:
        label = submission.named(check_label(name), chosen["new_revision"])
    if traces is not None and traces.traces(job := resolve(connection.store, label)):
        traces.root(job, "submit", began, time.time_ns(), {"inkmill.job": job})
    return label


def check(paths: Sequence[str], options: SubmitOptions, settings: Settings) -> None:
    """Raise what `submit` would raise for wrong paths, options, templates or tables.

    It needs no servers, and leaves a list on standard input unread. ``settings`` say which buckets
    inputs may come from, and where notices may go.
    """
    chosen = complete(options)
    if files := [path for path in paths if path != STDIN]:
        Inputs(files, settings.input_buckets)
    if chosen["name"] is not None:
        check_label(chosen["name"])
    _on_done(chosen["on_done"], settings)
    _templates(chosen)
    if chosen["expect"] is not None:
        read_list(Path(chosen["expect"]))
    if chosen["keys"] is not None:
        read_keys(Path(chosen["keys"]))


def draft(connection: Connection, options: SubmitOptions) -> Job:
    """The job's record as far as the complete ``options`` determine it: no id, no inputs yet."""
    settings = connection.settings
    templates = _templates(options)
    latest = connection.latest.get
    policy, version = choose_model(connection.store, settings.model, options["model"], latest)
    strips = settings.strips_model if templates and templates.has_strips else ""
    strips_version = choose_strips_model(connection.store, strips, policy, latest)
    retention = options["retention_days"]
    return Job(
        job="",
        created=time.time(),
        options=Options(
            model=settings.model,
            policy=policy,
            priority=options["priority"],
            chunk_size=_chunk_size(connection, options, templates),
            precision=options["precision"],
            keyed=options["keys"] is not None,
            doubles=options["doubles"],
        ),
        version=version,
        form=templates.to_text() if templates else "",
        form_name=templates.name if templates else "",
        form_hash=templates.hash if templates else "",
        retention_days=settings.retention_days if retention is None else retention,
        strips_model=strips,
        strips_version=strips_version,
        on_done=_on_done(options["on_done"], settings),
    )


def is_any_size(connection: Connection, options: SubmitOptions) -> bool:
    """Whether nobody said how many items a chunk has."""
    return options["chunk_size"] is None and connection.settings.chunk_size == "auto"


def _chunk_size(connection: Connection, options: SubmitOptions, templates: Templates | None) -> int:
    """Items per chunk; where nothing says how many, by what engines read of this kind."""
    settings, speed = connection.settings, 0.0
    if is_any_size(connection, options):
        form_hash = templates.hash if templates else ""
        speed = connection.speeds.get(names.kind_of_work(settings.model, form_hash))
    asked = options["chunk_size"]
    return pack.chunk_size(asked, settings.chunk_size, templates is not None, speed)


def _on_done(given: str | None, settings: Settings) -> str:
    """Whom to tell of the job's end, "" for nobody. Raises UsageError."""
    target = (settings.on_done or "") if given is None else given
    if target:
        check_target(target, settings.on_done_origins)
    return target


def _templates(options: SubmitOptions) -> Templates | None:
    """The templates that the options name. Raises UsageError or FormError."""
    templates = load_templates(options["form"], options["forms"])
    if templates is None and (options["keys"] is not None or options["doubles"] != HOLD):
        raise UsageError("--keys and --doubles apply to documents: add --form or --forms")
    return templates


def load_templates(form: PathLike | Form | None, forms: PathLike | None) -> Templates | None:
    """The template ``form``, or those in the folder ``forms``; None for digit images.

    Raises FormError for a template that is wrong or has fields that tables cannot hold, UsageError
    if both are given or the folder has no templates.
    """
    if form is None and forms is None:
        return None
    if form is not None and forms is not None:
        raise UsageError(
            "--form is one template, --forms a folder of templates: give only one of them"
        )
    # These load the parser of templates, which a producer of digit images does not need.
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
