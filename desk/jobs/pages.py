"""The pages about jobs: the list, one job, its rows; what stops, resumes and deletes a job."""

from __future__ import annotations

from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inkmill.desk.jobs import exports
from inkmill.desk.jobs.live import stream
from inkmill.desk.jobs.overview import address_of, overviews, shares
from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import fragment, redirect, render
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import cancel, delete, quarantine, results, resume
from inkmill.producer.status import FEW_ROWS, JobStatus
from inkmill.producer.tables.export import stored_rows
from inkmill.records.jobs import Job
from inkmill.records.rows import Row

#: Lines of a table of rows, and events of a job's trail, that a page shows.
_MOST_ROWS, _MOST_EVENTS = 200, 100
#: Rows that are looked through for those of one status or code, in a job that is larger.
_MOST_LOOKED = 50_000


@require(Role.KEYER)
def listing(request: Request) -> Response:
    """All jobs, the newest first, and what was handed in."""
    return render(request, "jobs/list.html", body=_list(request))


@require(Role.KEYER)
async def listing_live(request: Request) -> Response:
    """The list as it changes."""
    return stream(request, lambda: _list(request))


def _list(request: Request) -> str:
    page = _number(request, "page", 1)
    waiting = overviews(request).submits() if page == 1 else []
    return fragment(
        request,
        "jobs/_list.html",
        listing=overviews(request).listing(page),
        submits=waiting,
        address_of=address_of,
    )


@require(Role.KEYER)
def one(request: Request) -> Response:
    """One job: its progress, what it holds, and what can be done with it."""
    context = context_of(request)
    record = _record(request)
    person = request.state.person
    context.trail.viewed(person.name, "job", job=record.job, address=address(request))
    supervises = person.may(Role.SUPERVISOR)
    return render(
        request,
        "jobs/job.html",
        job=_status(request, record),
        body=_progress(request, record),
        report=exports.report_state(context, record) if supervises else None,
        trail=context.trail.of_job(record.job, _MOST_EVENTS) if supervises else [],
    )


@require(Role.KEYER)
async def one_live(request: Request) -> Response:
    """One job as it progresses."""
    record = await run_in_threadpool(_record, request)
    return stream(request, lambda: _progress(request, record))


def _progress(request: Request, record: Job) -> str:
    found = _status(request, record)
    whole = found.rows or 1
    return fragment(
        request,
        "jobs/_progress.html",
        job=found,
        queue=overviews(request).queue(),
        statuses=shares(found.statuses, whole),
        codes=shares(found.codes, whole),
    )


@require(Role.KEYER)
def rows(request: Request) -> Response:
    """Rows of one status or code: which images these are, and why."""
    context, record = context_of(request), _record(request)
    code = request.query_params.get("code", "")
    status = request.query_params.get("status", "")
    context.trail.viewed(
        request.state.person.name,
        f"rows {code or status}",
        job=record.job,
        address=address(request),
    )
    found = _status(request, record)
    kept = overviews(request).counting.rows(record.job)
    if found.rows <= FEW_ROWS:
        source = iter(kept or results(record.job, partial=True, connection=context.connection))
        looked = found.rows
    else:
        done = sorted(reconcile.standing(context.store, record).done)
        source = stored_rows(context.connection, record, done, heads=True)
        looked = _MOST_LOOKED
    wanted = (row for row in islice(source, looked) if _is_wanted(row, code, status))
    shown = list(islice(wanted, _MOST_ROWS))
    return render(
        request,
        "jobs/rows.html",
        job=found,
        rows=shown,
        code=code,
        wanted=status,
        cut=len(shown) == _MOST_ROWS,
        looked=looked if looked < found.rows else 0,
    )


def _is_wanted(row: Row, code: str, status: str) -> bool:
    if code:
        return str(row.code or "") == code or any(str(f.code or "") == code for f in row.fields)
    return not status or str(row.status) == status


@require(Role.SUPERVISOR)
def act(request: Request) -> Response:
    """Resume, cancel or delete a job, or read again what was given up."""
    context, record = context_of(request), _record(request)
    action = str(request.state.form.get("action", ""))
    acts = {"resume": _resume, "cancel": _cancel, "delete": _delete, "retry": _retry}
    if action not in acts:
        raise HTTPException(400, f"there is no action {action[:40]!r}")
    if action in ("cancel", "delete") and request.state.form.get("sure") != record.label:
        raise HTTPException(
            400, f"to {action} the job, type its name, {record.label}, into the field beside it"
        )
    message = acts[action](request, record)
    overviews(request).forget(record.job)
    context.connection.jobs.forget(record.label)
    # That a job was deleted outlives the job.
    about = "" if action == "delete" else record.job
    context.trail.add(
        request.state.person.name, action, record.label, job=about, address=address(request)
    )
    gone = action == "delete" and not request.state.form.get("keep_values")
    return redirect(request, "/jobs" if gone else f"/jobs/{record.job}", message)


def _resume(request: Request, record: Job) -> str:
    missing = resume(record.job, connection=context_of(request).connection)
    if not missing:
        return "The job is finished: there was nothing to do."
    return f"{missing} chunks have no rows yet; those that were lost were sent again."


def _cancel(request: Request, record: Job) -> str:
    count = cancel(record.job, connection=context_of(request).connection)
    return f"The job is cancelled: {count} rows have the code CANCELLED, finished rows stay."


def _delete(request: Request, record: Job) -> str:
    connection = context_of(request).connection
    if request.state.form.get("keep_values"):
        delete(record.job, keep_values=True, connection=connection)
        return f"The scans and pictures of job {record.label} are deleted; its values stay."
    delete(record.job, connection=connection)
    return f"Job {record.label} is deleted."


def _retry(request: Request, record: Job) -> str:
    chunks = quarantine.retry(record.job, connection=context_of(request).connection)
    if not chunks:
        return "Nothing was given up in this job."
    return f"{len(chunks)} chunks with images that were given up are read again."


def _record(request: Request) -> Job:
    """The job that the address names. Raises NotFound."""
    return load_job(context_of(request).store, request.path_params["job"])


def _status(request: Request, record: Job) -> JobStatus:
    found = overviews(request).status(record.job)
    if found is None:
        raise HTTPException(404)
    return found


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default
