"""Pages of the review: its jobs, one job, the page at which people work, what a supervisor sees."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inkmill.backends import event_log
from inkmill.desk.people.roles import Role
from inkmill.desk.review import figures
from inkmill.desk.review.requests import kinds_for, may_see_pages, review_of
from inkmill.desk.review.tasks import (
    CLEARED,
    COMMENT,
    KINDS,
    SENT_BACK,
    Options,
    Remark,
    stored_options,
)
from inkmill.desk.review.work import JobReview
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.pages import redirect, render
from inkmill.errors import PreconditionFailed, Unreachable, UsageError
from inkmill.producer import jobs
from inkmill.records.events import LATE, WITHDRAWN, Event

#: Lines of a list on the supervisor's page.
_SHOWN = 200
#: A task that was given to a person waits for them so long; then whoever asks gets it.
_ASSIGNED_SECONDS = 900.0


@require(Role.KEYER)
def listing(request: Request) -> Response:
    """The jobs that have fields in review."""
    found = sorted(jobs(connection=context_of(request).connection), key=lambda job: -job.created)
    return render(request, "review/list.html", jobs=found)


@require(Role.KEYER)
def overview(request: Request) -> Response:
    """A job's tasks: how many of each kind, how many are done, who works; where to begin."""
    review = review_of(request)
    verdicts, entered = review.known.verdicts(), review.known.events()
    return render(
        request,
        "review/job.html",
        job=review.record,
        kinds=kinds_for(request),
        progress=_progress(review),
        people=figures.people(entered, verdicts),
        audits=review.supply.audits(),
        options=review.options,
    )


def _progress(review: JobReview) -> figures.Taken:
    try:
        held = list(review.connection.queue.leases(review.record.job))
    except Unreachable:
        held = []  # nobody knows who works on what until Redis is back
    return figures.Taken.of(review.known.tasks(), review.known.done(), held)


@require(Role.KEYER)
def work(request: Request) -> Response:
    """The page at which people work; its script asks for tasks."""
    review = review_of(request)
    context_of(request).trail.viewed(request.state.person.name, "review", job=review.record.job)
    asked = request.query_params.get("kind", "")
    kinds = [kind for kind in KINDS if kind in kinds_for(request) and asked in ("", kind)]
    return render(
        request,
        "review/work.html",
        job=review.record,
        kinds=kinds,
        around=may_see_pages(request, review),
    )


@require(Role.SUPERVISOR)
def supervise(request: Request) -> Response:
    """Who did what and when, where people disagree, what they said; with send back and options."""
    return _supervise(request)


def _supervise(request: Request, mine: Options | None = None) -> Response:
    """The same; ``mine`` are options that were refused, since somebody else changed them."""
    review = review_of(request)
    verdicts, entered = review.known.verdicts(), review.known.events()
    found = figures.disputed(verdicts)
    who = request.query_params.get("who", "")
    stored, etag = stored_options(review.connection.store, review.record.job)
    return render(
        request,
        "review/supervise.html",
        status=200 if mine is None else 409,
        job=review.record,
        people=figures.people(entered, verdicts),
        disputed=found[:_SHOWN],
        by_field=figures.by_field(found),
        who=who,
        entries=figures.entries_of(entered, who, _SHOWN),
        late=[each for each in entered if each.source == LATE][-_SHOWN:],
        held=_in_hand(request, review),
        flags=review.known.flags().pages,
        comments=[each for each in review.known.remarks() if each.kind == COMMENT][-_SHOWN:],
        stored=stored,
        etag=etag,
        mine=mine,
    )


def _in_hand(request: Request, review: JobReview) -> list[figures.InHand]:
    try:
        held = review.connection.queue.leases(review.record.job)
    except Unreachable:
        return []  # nobody knows who works on what until Redis is back
    people = context_of(request).people.all() if held else ()
    return figures.in_hand(held, review.known.tasks(), people)


@require(Role.SUPERVISOR)
def make_tasks(request: Request) -> Response:
    """Make tasks of what is doubtful now."""
    review = review_of(request)
    count = review.supply.top_up()
    said = f"{count:,} fields are new tasks." if count else "No field needs a new task."
    return redirect(request, _here(review), said)


@require(Role.SUPERVISOR)
def start_audit(request: Request) -> Response:
    """Draw a blind sample of accepted fields, to be keyed at the desk."""
    review = review_of(request)
    text = str(request.state.form.get("count", ""))
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise UsageError(f"{text!r} is not a number of fields: give one from 1 to 100,000")
    count = review.supply.start_audit(int(text))
    return redirect(request, _here(review), f"{count:,} accepted fields are to be keyed blind.")


@require(Role.SUPERVISOR)
def set_options(request: Request) -> Response:
    """Change how the job is reviewed; tasks that exist stay as they are."""
    review, form = review_of(request), request.state.form
    names = [each for each in str(form.get("second_fields", "")).replace(",", " ").split() if each]
    known = {each.name for made in review.behind.templates for each in made.all_fields}
    if unknown := sorted(set(names) - known):
        raise UsageError(f"the template has no field {', '.join(unknown)}")
    percent, screen = str(form.get("second_share", "0")), str(form.get("screen", "40"))
    try:
        share, cells = float(percent) / 100, int(screen)
    except ValueError:
        raise UsageError(f"{percent!r} and {screen!r} must be numbers") from None
    options = Options(
        second_share=share,
        second_fields=tuple(names),
        masked=form.get("masked") == "on",
        hidden=form.get("hidden") == "on",
        screen=cells,
    )
    try:
        review.keep_options(options, str(form.get("etag", "")))
    except PreconditionFailed:
        return _supervise(request, options)
    context_of(request).trail.add(
        request.state.person.name, "review-options", str(options), job=review.record.job
    )
    return redirect(request, f"{_here(review)}/supervise", "The options are stored.")


@require(Role.SUPERVISOR)
def send_back(request: Request) -> Response:
    """Take entries of a person back: one field, or all; the fields are then reviewed again."""
    review, form = review_of(request), request.state.form
    who, item = str(form.get("who", "")), str(form.get("item", ""))
    name, person = str(form.get("field", "")), request.state.person.name
    mine = figures.entries_of(review.known.events(fresh=0.0), who, 10**9)
    chosen = [each for each in mine if not name or each.place == (int(item or -1), name)]
    if not chosen:
        raise UsageError(f"{who or 'nobody'} has no entry that could be sent back")
    now = time.time()
    taken_back = [Event(*each.place, person, each.value, who, now, WITHDRAWN) for each in chosen]
    event_log.add(review.connection.store, review.record.job, taken_back)
    review.known.add(taken_back)
    for each in chosen:
        review.known.say(Remark(SENT_BACK, *each.place, f"{who}: {each.value}", person, now))
    said = f"{len(chosen):,} entries of {who} were sent back."
    details = f"{who}: {len(chosen)} entries"
    context_of(request).trail.add(person, "send-back", details, job=review.record.job)
    return redirect(request, f"{_here(review)}/supervise", said)


@require(Role.SUPERVISOR)
def reassign(request: Request) -> Response:
    """Take a task out of somebody's hands: for another person, or for whoever asks next."""
    review, form = review_of(request), request.state.form
    task, to = str(form.get("task", "")), str(form.get("to", ""))
    held = next((each for each in _in_hand(request, review) if each.name == task), None)
    if held is None:
        raise UsageError(f"nobody has task {task[:20]!r} any more: reload the page")
    queue, job = review.connection.queue, review.record.job
    if not to:
        queue.revoke(job, [task])
    elif to in held.others:
        queue.assign(job, to, _ASSIGNED_SECONDS, [task])
    else:
        raise UsageError(f"{to[:80]!r} cannot have task {task}: choose somebody of the list")
    words = f"Task {task}, which {held.who} had, goes to {to or 'whoever asks next'}"
    context_of(request).trail.add(request.state.person.name, "reassign", words, job=job)
    return redirect(request, f"{_here(review)}/supervise", f"{words}.")


@require(Role.SUPERVISOR)
def clear(request: Request) -> Response:
    """A flagged page is in order after all: its fields are reviewed again."""
    review, item = review_of(request), str(request.state.form.get("item", ""))
    if not item.isdecimal() or int(item) not in review.known.flags(fresh=0.0).pages:
        raise UsageError(f"item {item!r} is not flagged")
    person = request.state.person.name
    review.known.say(Remark(CLEARED, int(item), "", "", person, time.time()))
    return redirect(request, f"{_here(review)}/supervise", f"Item {item} is reviewed again.")


def _here(review: JobReview) -> str:
    return f"/review/{review.record.job}"


routes: list[BaseRoute] = [
    Route("/review", listing, methods=["GET"]),
    Route("/review/{job}", overview, methods=["GET"]),
    Route("/review/{job}/work", work, methods=["GET"]),
    Route("/review/{job}/supervise", supervise, methods=["GET"]),
    Route("/review/{job}/tasks", make_tasks, methods=["POST"]),
    Route("/review/{job}/audit", start_audit, methods=["POST"]),
    Route("/review/{job}/options", set_options, methods=["POST"]),
    Route("/review/{job}/send-back", send_back, methods=["POST"]),
    Route("/review/{job}/reassign", reassign, methods=["POST"]),
    Route("/review/{job}/clear", clear, methods=["POST"]),
]
