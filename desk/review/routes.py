"""Addresses of the review: what the page at which people work asks, and the pages around it."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from inkmill.desk.people.roles import Role
from inkmill.desk.review import located, pages
from inkmill.desk.review.cutting.pictures import AROUND
from inkmill.desk.review.requests import kinds_for, may_see_pages, review_of, reviews_of
from inkmill.desk.review.screens import group_values, picture_of, pictures_of, screen
from inkmill.desk.review.tasks import COMMENT, DECIDE, KINDS, TaskRef
from inkmill.desk.review.work import Answered, Holder, JobReview
from inkmill.desk.web.access import require
from inkmill.errors import UsageError

#: Pictures never change under their name: the browser may keep them as long as it is open.
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}


def _body(request: Request) -> dict[str, Any]:
    found = request.state.json
    if not isinstance(found, dict):
        raise HTTPException(400, "this address takes JSON")
    return found


def _text(body: dict[str, Any], name: str, most: int = 1000) -> str:
    found = body.get(name, "")
    if not isinstance(found, str) or len(found) > most:
        raise UsageError(f"{name} must be a text of at most {most} characters")
    return found


def _number(body: dict[str, Any], name: str) -> int:
    found = body.get(name)
    if type(found) is not int or found < 0:
        raise UsageError(f"{name} must be a number")
    return found


def _holder(request: Request, body: dict[str, Any]) -> Holder:
    tab = _text(body, "tab", 40)
    if not tab.isascii() or not tab.isalnum():
        raise UsageError("tab must be a word of letters and digits")
    return Holder(request.state.person.name, tab)


def _ref(request: Request, body: dict[str, Any]) -> tuple[JobReview, TaskRef]:
    """The task that a request is about, if its person may have such tasks."""
    review = review_of(request)
    ref = review.known.task(_text(body, "task", 40))
    if ref.task.kind not in kinds_for(request):
        role = Role.SUPERVISOR if ref.task.kind == DECIDE else Role.SECOND
        raise HTTPException(403, f"tasks of the kind {ref.task.kind} are for the role {role}")
    return review, ref


@require(Role.KEYER)
def next_task(request: Request) -> Response:
    """The next task for this person, with its pictures on their way."""
    body, review = _body(request), review_of(request)
    asked = body.get("kinds")
    kinds = [kind for kind in KINDS if kind in kinds_for(request) and kind in (asked or KINDS)]
    holder = _holder(request, body)
    given = review.next(holder, kinds)
    if given is None:
        return JSONResponse({"task": None})
    shelf, behind = reviews_of(request).pictures, review.behind
    for ref in (given.ref, *given.after):
        shelf.make_ahead(review.record, pictures_of(behind, ref))
    found = screen(behind, given, f"/review/{review.record.job}", may_see_pages(request, review))
    return JSONResponse({**found, "waiting": given.waiting})


@require(Role.KEYER)
def answer(request: Request) -> Response:
    """What was typed for one field."""
    body = _body(request)
    review, ref = _ref(request, body)
    place = _number(body, "item"), _text(body, "field", 200)
    again = body.get("again") is True
    said = review.answer(ref, _holder(request, body), place, _text(body, "text"), again=again)
    return _answered(said)


@require(Role.KEYER)
def confirm(request: Request) -> Response:
    """A screen of a group: of each cell the digit that is written, "" for the one it was read as,
    ``?`` or ``skip``."""
    body = _body(request)
    review, ref = _ref(request, body)
    cells = body.get("cells")
    if not isinstance(cells, list) or not all(isinstance(each, dict) for each in cells):
        raise UsageError("cells must be a list of item, field and digit")
    said = [
        ((_number(each, "item"), _text(each, "field", 200)), _text(each, "digit", 8))
        for each in cells
    ]
    values = group_values(review.behind, ref, said)
    again = body.get("again") is True
    return _answered(review.confirm(ref, _holder(request, body), values, again=again))


def _answered(said: Answered) -> Response:
    left = [[each.item, each.field] for each in said.left]
    return JSONResponse({"value": said.value, "left": left, "late": said.late})


@require(Role.KEYER)
def check(request: Request) -> Response:
    """What rules and checks say of values that are being typed."""
    body = _body(request)
    review, ref = _ref(request, body)
    values = body.get("values")
    if not isinstance(values, list):
        raise UsageError("values must be a list of item, field and text")
    typed = {
        (_number(each, "item"), _text(each, "field", 200)): _text(each, "text")
        for each in values
        if isinstance(each, dict)
    }
    found = review.behind.problems(ref, typed)
    return JSONResponse(
        {"problems": [{"message": each.message, "fields": each.fields} for each in found]}
    )


@require(Role.KEYER)
def renew(request: Request) -> Response:
    """Somebody still works on a task; or, with ``release``, does not any more."""
    body = _body(request)
    review, ref = _ref(request, body)
    holder = _holder(request, body)
    if body.get("release") is True:
        review.release(ref, holder)
        return JSONResponse({"late": ""})
    return JSONResponse({"late": review.renew(ref, holder)})


@require(Role.KEYER)
def remark(request: Request) -> Response:
    """A comment about a field, or that no value can be keyed from its page."""
    body = _body(request)
    review, ref = _ref(request, body)
    item, text = _number(body, "item"), _text(body, "text", 500).strip()
    holder = _holder(request, body)
    if body.get("kind") == COMMENT:
        review.comment(ref, holder, (item, _text(body, "field", 200)), text)
        return JSONResponse({"left": None})
    left = review.flag(ref, holder, item, text)
    return JSONResponse({"left": [[each.item, each.field] for each in left]})


@require(Role.KEYER)
def picture(request: Request) -> Response:
    """The picture of a field or cell; with ``around``, its page with a frame around it."""
    review = review_of(request)
    ref = review.known.task(request.path_params["task"])
    around = request.path_params.get("around") is not None
    if around and not may_see_pages(request, review):
        raise HTTPException(403, "this job shows keyers its fields only, and no pages")
    kind = AROUND if around else ""
    wanted = picture_of(review.behind, ref, request.path_params["index"], kind)
    data = reviews_of(request).pictures.get(review.record, wanted)
    return Response(data, media_type="image/jpeg" if around else "image/png", headers=_KEEP)


routes: list[BaseRoute] = [
    *pages.routes,
    *located.routes,
    Route("/review/{job}/next", next_task, methods=["POST"]),
    Route("/review/{job}/answer", answer, methods=["POST"]),
    Route("/review/{job}/confirm", confirm, methods=["POST"]),
    Route("/review/{job}/check", check, methods=["POST"]),
    Route("/review/{job}/renew", renew, methods=["POST"]),
    Route("/review/{job}/remark", remark, methods=["POST"]),
    Route("/review/{job}/picture/{task}/{index:int}", picture, methods=["GET"]),
    Route("/review/{job}/picture/{task}/{index:int}/{around}", picture, methods=["GET"]),
]
