"""Pages that could not be located: their corners are dragged, cut at once, and read again."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from inkmill.codes import Code, Status
from inkmill.desk.people.roles import Role
from inkmill.desk.review.cutting.pictures import PAGE, Wanted
from inkmill.desk.review.requests import review_of, reviews_of
from inkmill.desk.review.tasks import CLEARED, Remark
from inkmill.desk.review.work import JobReview
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.pages import render
from inkmill.errors import InkmillError, ItemError, NotFound, UsageError
from inkmill.people.fix import Fixer
from inkmill.processes import run_command
from inkmill.producer.tables import fixes
from inkmill.producer.tables.export import stored_rows
from inkmill.records.rows import Row
from inkmill.template.form import Form

#: Pages that are listed at a time.
_LISTED = 200
#: Reading a page again loads the model: seconds, on a busy host many.
_READ_SECONDS = 180.0
#: Pages that are read with the same corners in one go, and seconds for each.
_ALIKE, _PAGE_SECONDS = 50, 5.0


@require(Role.SECOND)
def listing(request: Request) -> Response:
    """The pages of a job that were not located, and have not been read again."""
    review = review_of(request)
    found = list(_unlocated(review))
    return render(request, "review/located.html", job=review.record, rows=found)


def _unlocated(review: JobReview) -> Iterator[Row]:
    count = 0
    chunks = range(review.record.chunks)
    for row in stored_rows(review.connection, review.record, chunks, heads=True):
        if row.status is Status.ERROR and row.code is Code.UNREGISTERED:
            yield row
            count += 1
            if count >= _LISTED:
                return


@require(Role.SECOND)
def page(request: Request) -> Response:
    """One page, with the corners to drag."""
    review, item = review_of(request), request.path_params["item"]
    row = _row(review, item)
    return render(
        request,
        "review/corners.html",
        job=review.record,
        row=row,
        forms=list(review.behind.templates),
        alike=len(_others(review, item)) + 1,
    )


def _row(review: JobReview, item: int) -> Row:
    chunk = review.record.chunk_of(item)
    rows = stored_rows(review.connection, review.record, [chunk]) if chunk is not None else iter(())
    for row in rows:
        if row.item == item:
            return row
    raise NotFound(f"job {review.record.label} has no page {item}")


@require(Role.SECOND)
def picture(request: Request) -> Response:
    """The scan of a page, at most 1600 pixels long."""
    review, item = review_of(request), request.path_params["item"]
    wanted = Wanted(_row(review, item), PAGE)
    data = reviews_of(request).pictures.get(review.record, wanted)
    return Response(data, media_type="image/jpeg")


def _asked(request: Request, review: JobReview) -> tuple[list[tuple[float, float]], Form, int]:
    """Four corners, the template, and the page of it: as parts of the page's width and height for a
    preview, in the scan's pixels (as a preview gives them) to read."""
    body = request.state.json
    body = body if isinstance(body, dict) else {}
    corners: Any = body.get("corners")
    try:
        points = [(float(x), float(y)) for x, y in corners]
        number = int(body.get("number", 1))
    except (TypeError, ValueError):
        raise UsageError("corners must be four points, and number a page of the form") from None
    if len(points) != 4:
        raise UsageError("give four corners")
    form = review.behind.templates.of_name(str(body.get("form", "")))
    if not 1 <= number <= form.page_count:
        raise UsageError(f"{form.name} has no page {number}: it has {form.page_count}")
    return points, form, number


@require(Role.SECOND)
def preview(request: Request) -> Response:
    """The fields as these corners cut them."""
    review, item = review_of(request), request.path_params["item"]
    points, form, number = _asked(request, review)
    about, data = Fixer(review.connection, review.record.job).find(str(item))
    cutter = reviews_of(request).pictures.cutter
    try:
        pixels, found = cutter.by_corners(data, about.page, form.to_text(), number, points)
    except ItemError as error:
        raise UsageError(f"item {item}: {error.message}") from None
    fields = [[name, base64.b64encode(each).decode()] for name, each in found]
    return JSONResponse({"corners": pixels, "fields": fields})


@require(Role.SECOND)
def read_again(request: Request) -> Response:
    """Read the page with these corners, with ``alike`` others as well: their new rows count."""
    review, item = review_of(request), request.path_params["item"]
    points, form, number = _asked(request, review)
    others = _others(review, item) if request.state.json.get("alike") is True else []
    items, person = [item, *others], request.state.person.name
    said = _fix(review, items, points, form, number)
    flagged = review.known.flags(fresh=0.0).pages
    for each in items:
        if each in flagged:
            review.known.say(Remark(CLEARED, each, "", "", person, time.time()))
    which = f"item {', '.join(map(str, items))}"
    context_of(request).trail.add(person, "corners", which[:200], job=review.record.job)
    row = fixes.kept(review.connection.store, review.record.job).get(item)
    fields: list[Any] = [[e.name, e.value, str(e.status)] for e in row.fields] if row else []
    return JSONResponse({"said": said, "fields": fields})


def _others(review: JobReview, item: int) -> list[int]:
    """Other pages that were not located, as many as are read in one go."""
    return [row.item for row in _unlocated(review) if row.item != item][: _ALIKE - 1]


def _fix(
    review: JobReview,
    items: Sequence[int],
    points: list[tuple[float, float]],
    form: Form,
    number: int,
) -> str:
    """Run `inkmill fix` in a process of its own: this one never loads the model."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    command = [
        *("fix", review.record.job),
        *map(str, items),
        *("--corners", corners),
    ]
    if len(review.behind.templates) > 1:
        command += ["--form", form.name]
    if form.page_count > 1:
        command += ["--page", str(number)]
    try:
        code, said = run_command(
            command,
            settings=review.connection.settings.environment(),
            seconds=_READ_SECONDS + len(items) * _PAGE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"reading item {items[0]} took longer than {_READ_SECONDS:.0f} s: try again when the "
            "server is less busy"
        ) from None
    words = said.splitlines()[-1:] or ["it said nothing"]
    if code:
        raise InkmillError(f"item {items[0]} was not read: {words[0]}")
    return words[0] if len(items) == 1 else f"{len(items)} pages were read again."


routes: list[BaseRoute] = [
    Route("/review/{job}/located", listing, methods=["GET"]),
    Route("/review/{job}/located/{item:int}", page, methods=["GET"]),
    Route("/review/{job}/located/{item:int}/scan", picture, methods=["GET"]),
    Route("/review/{job}/located/{item:int}/preview", preview, methods=["POST"]),
    Route("/review/{job}/located/{item:int}/read", read_again, methods=["POST"]),
]
