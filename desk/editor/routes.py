"""Addresses of the template editor: pages for people, and JSON for its script."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from inkmill.desk.editor import reading
from inkmill.desk.editor.content import problems
from inkmill.desk.editor.draft import MOST_SCANS, Draft
from inkmill.desk.editor.drafts import CHANGED, Drafts, Found
from inkmill.desk.editor.opening import Opener
from inkmill.desk.imaging.children import Imaging
from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.pages import redirect, render
from inkmill.errors import PreconditionFailed, UsageError

#: Bytes of a dropped file; the setting ``max_file_bytes`` may allow less.
_MOST_FILE = 256 * 2**20
#: What the browser may ask about a page, and the values it gives.
_ABOUT_PAGES = {
    "snap": ("rectangle", "count"),
    "rows": ("rectangle", "count"),
    "mark": ("at",),
    "code": ("rectangle",),
}


@lru_cache(maxsize=1)
def imaging() -> Imaging:
    """The imaging processes of this server."""
    return Imaging()


def _drafts(request: Request) -> Drafts:
    return Drafts(context_of(request).store)


def _found(request: Request) -> Found:
    return _drafts(request).load(request.path_params["draft"])


def _opener(request: Request) -> Opener:
    context = context_of(request)
    return Opener(Drafts(context.store), imaging(), context.settings, request.state.person.name)


# --- the list --------------------------------------------------------------------------------


@require(Role.SUPERVISOR)
def index(request: Request) -> Response:
    """Saved templates, drafts, and a place to drop a form's pages."""
    drafts = _drafts(request)
    newest = sorted(drafts.all(), key=lambda found: -found.draft.changed)
    return render(request, "editor/index.html", saved=drafts.saved(), drafts=newest)


@require(Role.SUPERVISOR)
async def create(request: Request) -> Response:
    """A draft from the file in the body."""
    name, data = await _file(request)
    found = await run_in_threadpool(_opener(request).open, name, data)
    return JSONResponse({"location": f"/templates/drafts/{found.id}"}, 201)


@require(Role.SUPERVISOR)
def open_saved(request: Request) -> Response:
    """A draft of a saved template."""
    form = _drafts(request).open_saved(request.path_params["name"])
    found = _opener(request).open_form(form)
    return redirect(request, f"/templates/drafts/{found.id}")


@require(Role.SUPERVISOR)
def download_saved(request: Request) -> Response:
    form = _drafts(request).open_saved(request.path_params["name"])
    return _yaml(form.name, form.to_text())


@require(Role.SUPERVISOR)
def delete(request: Request) -> Response:
    found = _found(request)
    reading.drop(context_of(request).connection, found.id)
    _drafts(request).delete(found.id)
    return redirect(request, "/templates", f"The draft of {found.draft.name} was deleted")


# --- one draft -------------------------------------------------------------------------------


@require(Role.SUPERVISOR)
def edit(request: Request) -> Response:
    """The editor."""
    found = _found(request)
    return render(request, "editor/edit.html", draft=found.draft, id=found.id, scans=MOST_SCANS)


@require(Role.SUPERVISOR)
def read(request: Request) -> Response:
    return _state(_found(request))


@require(Role.SUPERVISOR)
def change(request: Request) -> Response:
    """Keep what the browser sends, valid or not; the answer says what is wrong with it."""
    found, sent = _found(request), request.state.json
    draft = found.draft.changed_to(sent, request.state.person.name)
    if sent.get("etag") == found.etag:
        return _state(_drafts(request).change(found.id, draft, found.etag))
    if draft.is_as(found.draft):
        return _state(found)  # sent again, since the answer got lost
    raise PreconditionFailed(CHANGED.format(who=found.draft.person or "somebody"))


@require(Role.SUPERVISOR)
def copy(request: Request) -> Response:
    """A draft of its own from what a browser has, beside the one that somebody else changed."""
    found = _found(request)
    draft = found.draft.changed_to(request.state.json, request.state.person.name)
    made = _drafts(request).copy(found.id, draft)
    return JSONResponse({"location": f"/templates/drafts/{made.id}"}, 201)


@require(Role.SUPERVISOR)
async def add_pages(request: Request) -> Response:
    return await _added(request, "add_pages")


@require(Role.SUPERVISOR)
async def add_scan(request: Request) -> Response:
    return await _added(request, "add_scan")


async def _added(request: Request, how: str) -> Response:
    name, data = await _file(request)

    def work() -> Found:
        found: Found = getattr(_opener(request), how)(_found(request), name, data)
        return found

    return _state(await run_in_threadpool(work))


@require(Role.SUPERVISOR)
def picture(request: Request) -> Response:
    """A picture of a draft; named by its content, so browsers may keep it."""
    params = request.path_params
    data = _drafts(request).picture(params["draft"], params["digest"])
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(data, media_type="image/png", headers=headers)


@require(Role.SUPERVISOR)
def about_page(request: Request) -> Response:
    """What the printed lines say about a place on a page: cells, rows, a mark, a code."""
    task, sent = request.path_params["task"], request.state.json
    if task not in _ABOUT_PAGES or not isinstance(sent, dict):
        raise UsageError("the editor's script and its server differ: reload the page")
    found = _found(request)
    page = found.draft.page(_whole(sent.get("page")))
    values = {name: _numbers(sent.get(name)) for name in _ABOUT_PAGES[task]}
    shown = _drafts(request).picture(found.id, page.picture)
    answer = imaging().ask(task, [shown], size=page.size, box=page.box, **values)
    return JSONResponse(answer.head)


@require(Role.SUPERVISOR)
def locate(request: Request) -> Response:
    """Where the draft's boxes lie on one of its scans."""
    found, drafts = _found(request), _drafts(request)
    wanted = str((request.state.json or {}).get("scan"))
    scan = next((each for each in found.draft.scans if each.picture == wanted), None)
    if scan is None:
        raise UsageError("this scan is not with the draft any more: reload the page")
    form = drafts.form(found).model_dump_json(by_alias=True).encode()
    shown = drafts.picture(found.id, scan.picture)
    return JSONResponse(imaging().ask("locate", [form, shown], page=scan.page).head)


@require(Role.SUPERVISOR)
def read_scans(request: Request) -> Response:
    """Have the draft's scans read by a worker."""
    found, drafts = _found(request), _drafts(request)
    scans = {scan.picture: drafts.picture(found.id, scan.picture) for scan in found.draft.scans}
    reading.start(context_of(request).connection, found.id, drafts.form(found), scans)
    return JSONResponse({}, 202)


@require(Role.SUPERVISOR)
def readings(request: Request) -> Response:
    """What was read; ``scans`` is null as long as workers are at it."""
    found = reading.fetch(context_of(request).connection, _found(request).id)
    return JSONResponse({"scans": found})


@require(Role.SUPERVISOR)
def save(request: Request) -> Response:
    """Keep the template under its name; the answer has remarks about its weaknesses."""
    drafts = _drafts(request)
    form = drafts.form(_found(request))
    drafts.save(form)
    content = form.model_dump_json(by_alias=True).encode()
    remarks = imaging().ask("remarks", [content]).head["remarks"]
    return JSONResponse({"name": form.name, "hash": form.hash, "remarks": remarks})


@require(Role.SUPERVISOR)
def download(request: Request) -> Response:
    form = _drafts(request).form(_found(request))
    return _yaml(form.name, form.to_text())


# --- bodies ----------------------------------------------------------------------------------


def _state(found: Found) -> Response:
    """A draft for the browser, and what is wrong with it."""
    draft: Draft = found.draft
    wrong = problems(draft.template)
    return JSONResponse(
        {
            "etag": found.etag,
            "draft": draft.model_dump(mode="json", exclude={"inkmill_draft"}),
            "problems": [{"path": each.path, "message": each.message} for each in wrong],
        }
    )


async def _file(request: Request) -> tuple[str, bytes]:
    """Name and bytes of the file in a request's body. Raises UsageError."""
    name = unquote(request.headers.get("x-file-name", ""))[:200] or "the file"
    most = context_of(request).settings.max_file_bytes
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise UsageError(
                f"{name} has more than {most:,} bytes (max_file_bytes): make it smaller"
            )
        parts.append(part)
    return name, b"".join(parts)


def _yaml(name: str, text: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.yaml"'}
    return Response(text, media_type="application/yaml", headers=headers)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError("the editor's script and its server differ: reload the page")
    return value


def _numbers(value: Any) -> Any:
    """A number, or up to four: pixels of a page."""
    several = value if isinstance(value, list) else [value]
    for each in several:
        if isinstance(each, bool) or not isinstance(each, int | float) or not abs(each) < 1e6:
            raise UsageError("the editor's script and its server differ: reload the page")
    if len(several) > 4:
        raise UsageError("the editor's script and its server differ: reload the page")
    return value


_ONE = "/templates/drafts/{draft}"

routes: list[BaseRoute] = [
    Route("/templates", index),
    Route("/templates/drafts", create, methods=["POST"], max_body_size=_MOST_FILE),
    Route("/templates/saved/{name}/open", open_saved, methods=["POST"]),
    Route("/templates/saved/{name}.yaml", download_saved),
    Route(f"{_ONE}/delete", delete, methods=["POST"]),
    Route(_ONE, edit),
    Route(f"{_ONE}/draft", read),
    Route(f"{_ONE}/draft", change, methods=["PUT"]),
    Route(f"{_ONE}/copy", copy, methods=["POST"]),
    Route(f"{_ONE}/pages", add_pages, methods=["POST"], max_body_size=_MOST_FILE),
    Route(f"{_ONE}/scans", add_scan, methods=["POST"], max_body_size=_MOST_FILE),
    Route(f"{_ONE}/pictures/{{digest}}.png", picture),
    Route(f"{_ONE}/about/{{task}}", about_page, methods=["POST"]),
    Route(f"{_ONE}/locate", locate, methods=["POST"]),
    Route(f"{_ONE}/readings", read_scans, methods=["POST"]),
    Route(f"{_ONE}/readings", readings),
    Route(f"{_ONE}/save", save, methods=["POST"]),
    Route(f"{_ONE}/template.yaml", download),
]
