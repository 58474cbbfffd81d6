"""Tables and reports of a job, as files to download."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import redirect
from inkmill.errors import CannotStart, NotFound, Unreachable
from inkmill.lifecycle.lookup import load_job
from inkmill.processes import run_command
from inkmill.producer import export
from inkmill.producer.tables.document_report import export_documents
from inkmill.producer.tables.writers import FORMATS
from inkmill.records.jobs import Job

#: A report of a large job goes through all its rows: so long, and no longer (seconds).
_REPORT_SECONDS = 1800
_FAILED = "failed:"
#: What went wrong with a report is told for so long (seconds).
_TOLD_SECONDS = 600
_MOST_MESSAGE = 2_000
_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


@require(Role.SUPERVISOR)
def table(request: Request) -> Response:
    """The rows of a job in one of the formats."""
    context = context_of(request)
    record = load_job(context.store, request.path_params["job"])
    query = request.query_params
    kind = query.get("format", "csv")
    if kind not in FORMATS:
        raise HTTPException(400, f"{kind[:40]!r} is not a format: use one of {', '.join(FORMATS)}")
    is_csv = kind == "csv"
    with _scratch(kind) as path:
        export(
            record.job,
            path,
            kind=kind,
            long="long" in query,
            partial="partial" in query,
            excel_safe=is_csv and "excel" in query,
            bom=is_csv and "excel" in query,
            form=query.get("form"),
            connection=context.connection,
        )
        told = f"results as {kind}" + (" (so far)" if "partial" in query else "")
        _tell(request, record, told)
        return _file(path, f"{record.label}.{kind}")


@require(Role.SUPERVISOR)
def documents(request: Request) -> Response:
    """The documents of a job as CSV."""
    context = context_of(request)
    record = load_job(context.store, request.path_params["job"])
    with _scratch("csv") as path:
        partial = "partial" in request.query_params
        export_documents(context.connection, record.job, str(path), partial)
        _tell(request, record, "documents")
        return _file(path, f"{record.label}-documents.csv")


class _scratch:
    """A temporary file's path; the file is removed if the block raises."""

    def __init__(self, kind: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="inkmill-desk-")
        self._path = Path(self._folder, f"table.{kind}")

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            _remove(self._path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


def _file(path: Path, name: str) -> Response:
    return FileResponse(path, filename=name, background=BackgroundTask(_remove, path))


def _tell(request: Request, record: Job, what: str) -> None:
    person = request.state.person.name
    context_of(request).trail.add(person, "export", what, job=record.job, address=address(request))


@dataclass(frozen=True, slots=True)
class ReportState:
    """Whether a job's report can be read, is being made, or could not be made."""

    made: float = 0.0
    making: bool = False
    problem: str = ""


def report_state(context: DeskContext, record: Job) -> ReportState:
    """How it stands with a job's report."""
    entry = next(iter(context.store.list(names.report(record.job))), None)
    made = entry.modified if entry is not None else 0.0
    try:
        with reachable():
            found = context.queue.client.get(names.desk_report(record.job))
    except Unreachable:
        found = None
    told = found.decode(errors="replace") if isinstance(found, bytes) else str(found or "")
    if told.startswith(_FAILED):
        return ReportState(made, problem=told.removeprefix(_FAILED))
    return ReportState(made, making=bool(told))


@require(Role.SUPERVISOR)
def make_report(request: Request) -> Response:
    """Begin to make a job's report, unless a server does already."""
    context = context_of(request)
    record = load_job(context.store, request.path_params["job"])
    page = f"/jobs/{record.job}#report"
    if report_state(context, record).making:
        return redirect(request, page, "The report is being made already.")
    with reachable():
        context.queue.client.set(names.desk_report(record.job), "making", ex=_REPORT_SECONDS)
    threading.Thread(target=_make, args=(context, record), daemon=True).start()
    _tell(request, record, "report")
    return redirect(request, page, "The report is being made: reload this page in a moment.")


def _make(context: DeskContext, record: Job) -> None:
    """Run ``inkmill report`` in a process of its own, since it cuts pictures from the scans."""
    lock = names.desk_report(record.job)
    with tempfile.TemporaryDirectory(prefix="inkmill-desk-") as folder:
        path = Path(folder, "report.html")
        problem = _run(["report", record.label, "-o", str(path)], context)
        if not problem:
            context.store.put(names.report(record.job), path.read_bytes())
    with reachable():
        if problem:
            told = f"{_FAILED}{problem[:_MOST_MESSAGE]}"
            context.queue.client.set(lock, told, ex=_TOLD_SECONDS)
        else:
            context.queue.client.delete(lock)


def _run(arguments: list[str], context: DeskContext) -> str:
    """Run a command of ours with the desk's settings; returns what went wrong, or ""."""
    settings = context.settings.environment()
    try:
        code, said = run_command(arguments, settings=settings, seconds=_REPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it took longer than {_REPORT_SECONDS // 60} minutes: use `inkmill report`"
    except CannotStart as error:
        return str(error)
    return said if code else ""


@require(Role.SUPERVISOR)
def report(request: Request) -> Response:
    """The report, under the policy that it states itself: its style and pictures are inside."""
    context = context_of(request)
    record = load_job(context.store, request.path_params["job"])
    try:
        text = context.store.get(names.report(record.job)).data.decode()
    except NotFound:
        raise NotFound(f"job {record.label} has no report yet: make one on its page") from None
    context.trail.viewed(
        request.state.person.name, "report", job=record.job, address=address(request)
    )
    own = _POLICY.search(text)
    policy = own[1].replace("&#39;", "'") if own else "default-src 'none'"
    headers = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'; sandbox"}
    return HTMLResponse(text, headers=headers)
