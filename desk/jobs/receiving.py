"""Handing in: files dropped on the page, or a folder or prefix of the server by name."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inkmill import names
from inkmill.desk.context import DeskContext
from inkmill.desk.jobs import running
from inkmill.desk.jobs.sources import check_source
from inkmill.desk.jobs.submits import MOST_TEMPLATES, Choice, File, Submits, check_file_name
from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import redirect, render
from inkmill.errors import InkmillError, UsageError
from inkmill.producer.submission.submit import check
from inkmill.records.jobs import DOUBLES

#: Bytes of a file that are held in memory while it comes; more are kept in a temporary file.
_IN_MEMORY = 2**20
#: Files larger than this are stored one at a time, so that only one of them is in memory.
_LARGE_BYTES = 32 * 2**20
_LARGE = threading.Lock()


@require(Role.SUPERVISOR)
def page(request: Request) -> Response:
    """The form for a new job; ``?submit=`` continues with files that were dropped before."""
    return _form(request, {"submit": request.query_params.get("submit", "")})


def _form(request: Request, given: dict[str, Any], problem: str = "") -> Response:
    context = context_of(request)
    submit = str(given.get("submit", ""))
    return render(
        request,
        "jobs/new.html",
        status=400 if problem else 200,
        given=given,
        problem=problem,
        submit=submit,
        files=Submits(context.store).count_files(submit) if submit else 0,
        saved=saved_forms(context),
        sources=context.settings.desk_sources,
        priorities=names.PRIORITIES,
        doubles=DOUBLES,
        most_bytes=context.settings.max_file_bytes,
        retention=context.settings.retention_days,
    )


@require(Role.SUPERVISOR)
def begin(request: Request) -> Response:
    """An empty submit, into which files can be dropped."""
    made = Submits(context_of(request).store).create(request.state.person.name)
    return JSONResponse({"submit": made.id})


@require(Role.SUPERVISOR)
async def receive(request: Request) -> Response:
    """One dropped file, streamed. A file that is too large is noted: its row will say so."""
    context = context_of(request)
    submits = Submits(context.store)
    submit = request.path_params["submit"]
    name = check_file_name(request.query_params.get("name", ""))
    await run_in_threadpool(_check_open, submits, submit, request.state.person.name)
    most = context.settings.max_file_bytes
    size = _declared(request)
    if size > most:
        await run_in_threadpool(submits.keep_file, submit, name, b"", size)
        return JSONResponse({"kept": False, "size": size})
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        size = await _spool(request, file, most)
        if size > most:
            await run_in_threadpool(submits.keep_file, submit, name, b"", size)
            return JSONResponse({"kept": False, "size": size})
        await run_in_threadpool(_keep, submits, submit, name, file, size)
    return JSONResponse({"kept": True, "size": size})


def _keep(submits: Submits, submit: str, name: str, file: IO[bytes], size: int) -> None:
    with _LARGE if size > _LARGE_BYTES else nullcontext():
        file.seek(0)
        submits.keep_file(submit, name, file.read())


async def _spool(request: Request, file: IO[bytes], most: int) -> int:
    """Write the body to a file, up to ``most`` bytes and a little; returns how many came."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            await run_in_threadpool(file.write, part)
    return size


def _declared(request: Request) -> int:
    """The size that the browser gives for a file which it does not send for that."""
    text = request.headers.get("x-file-size", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _check_open(submits: Submits, submit: str, person: str) -> None:
    found, _ = submits.get(submit)
    if found.person != person:
        raise UsageError("these files are somebody else's: start a submit of your own")
    if found.state not in ("open", "failed"):
        raise UsageError("this was handed in already: start a new submit for more files")


@require(Role.SUPERVISOR)
def hand_in(request: Request) -> Response:
    """Check what was chosen, and submit it in the background."""
    context, form = context_of(request), request.state.form
    submits = Submits(context.store)
    submit = str(form.get("submit", ""))
    try:
        choice = _choice(context, form)
        source = str(form.get("source", "")).strip()
        if source:
            source = check_source(source, context.settings.desk_sources)
        elif not submit or not submits.count_files(submit):
            raise UsageError("there is nothing to submit: drop files, or name a folder")
        with running.options_of(choice) as options:
            check([source] if source else [], options, context.settings)
    except InkmillError as error:
        given: dict[str, Any] = {
            name: value for name, value in form.items() if isinstance(value, str)
        }
        given["forms"] = [str(each) for each in form.getlist("forms")]
        return _form(request, given, str(error))
    if not submit:
        submit = submits.create(request.state.person.name).id
    claimed, etag = submits.claim(submit, choice=choice, source=source)
    running.start(context, claimed, etag)
    return redirect(request, f"/jobs/submits/{submit}")


@require(Role.SUPERVISOR)
def progress(request: Request) -> Response:
    """How a submit goes; leads on to its job once there is one."""
    found, _ = Submits(context_of(request).store).get(request.path_params["submit"])
    if found.state == "done":
        return redirect(request, f"/jobs/{found.job}", "The job is submitted.")
    return render(request, "jobs/submit.html", submit=found)


@require(Role.SUPERVISOR)
def state(request: Request) -> Response:
    """The same for a script."""
    found, _ = Submits(context_of(request).store).get(request.path_params["submit"])
    return JSONResponse({"state": found.state, "items": found.items, "stopped": found.interrupted})


@require(Role.SUPERVISOR)
def go_on(request: Request) -> Response:
    """Take up a submit that failed or was interrupted, or throw it away."""
    context = context_of(request)
    submits = Submits(context.store)
    submit = request.path_params["submit"]
    if request.state.form.get("action") == "discard":
        found, _ = submits.get(submit)
        if found.state == "running" and not found.interrupted:
            raise UsageError("it is being submitted at this moment: cancel the job instead")
        submits.discard(submit)
        context.trail.add(
            request.state.person.name, "discard", found.choice.name, address=address(request)
        )
        return redirect(request, "/jobs", "What was handed in was thrown away.")
    claimed, etag = submits.claim(submit)
    running.start(context, claimed, etag)
    return redirect(request, f"/jobs/submits/{submit}")


def saved_forms(context: DeskContext) -> list[str]:
    """Names of the templates that were saved at the desk."""
    keys = (entry.key for entry in context.store.list(names.FORMS))
    return [
        key.removeprefix(names.FORMS).removesuffix(".yaml") for key in keys if key.endswith(".yaml")
    ]


def _choice(context: DeskContext, form: FormData) -> Choice:
    """What was chosen in the form. Raises UsageError."""
    retention = str(form.get("retention_days", "")).strip()
    if retention and not (retention.isascii() and retention.isdecimal() and len(retention) < 6):
        raise UsageError(f"{retention[:20]!r} is not a number of days")
    return Choice(
        # Always a name: going on after a server died then stores nothing twice.
        name=str(form.get("name", "")).strip() or _new_name(),
        templates=tuple(_templates(context, form)),
        expect=_table(form, "expect"),
        keys=_table(form, "keys"),
        priority=_one_of(form, "priority", names.PRIORITIES, "normal"),
        model=str(form.get("model", "")).strip() or "pinned",
        doubles=_one_of(form, "doubles", DOUBLES, "hold"),
        retention_days=int(retention) if retention else -1,
        new_revision=bool(form.get("new_revision")),
    )


def _one_of(form: FormData, name: str, words: tuple[str, ...], default: str) -> str:
    found = str(form.get(name, "")) or default
    if found not in words:
        raise UsageError(f"{name}: use one of {', '.join(words)}")
    return found


def _new_name() -> str:
    return f"desk-{time.strftime('%Y%m%d-%H%M', time.gmtime())}-{secrets.token_hex(2)}"


def _templates(context: DeskContext, form: FormData) -> list[File]:
    """The chosen templates: saved ones, and files. Raises UsageError."""
    found: list[File] = []
    for name in form.getlist("forms"):
        text = context.store.get(names.saved_form(str(name))).data.decode("utf-8", "replace")
        found.append((f"{name}.yaml", text))
    found += _files(form, "template", "a template")
    if sum(len(text) for _, text in found) > MOST_TEMPLATES:
        raise UsageError(f"the templates have more than {MOST_TEMPLATES:,} characters together")
    return found


def _table(form: FormData, name: str) -> File | None:
    """The table that was chosen in a field of the form, if any. Raises UsageError."""
    for found in _files(form, name, "a table (CSV)"):
        if len(found[1]) > MOST_TEMPLATES:
            raise UsageError(
                f"{found[0]}: more than {MOST_TEMPLATES:,} characters: use `inkmill submit "
                f"--{name}` for a table of this size"
            )
        return found
    return None


def _files(form: FormData, name: str, what: str) -> Iterator[File]:
    """The text files that were chosen in a field of the form. Raises UsageError."""
    for each in form.getlist(name):
        if isinstance(each, UploadFile) and each.filename:
            shown, data = each.filename[:100], each.file.read(4 * MOST_TEMPLATES + 1)
            try:
                yield shown, data.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise UsageError(f"{shown}: not {what} in UTF-8, but another file") from None
