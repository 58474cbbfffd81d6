"""What the addresses of the review have in common: which job, and what its person may do."""

from __future__ import annotations

import threading

from starlette.requests import Request

from inkmill.desk.people.roles import Role
from inkmill.desk.review.reviews import Reviews
from inkmill.desk.review.tasks import AUDIT, GROUP, KEY, SECOND, load_options
from inkmill.desk.review.work import JobReview
from inkmill.desk.web.access import context_of

_making = threading.Lock()


def reviews_of(request: Request) -> Reviews:
    """The reviews of this server process, made with the first request that needs them."""
    with _making:
        found: Reviews | None = getattr(request.app.state, "reviews", None)
        if found is None:
            found = request.app.state.reviews = Reviews(context_of(request).connection)
        return found


def review_of(request: Request) -> JobReview:
    """The review of the job in the address. Raises NotFound, UsageError."""
    return reviews_of(request).of(request.path_params["job"])


def kinds_for(request: Request) -> tuple[str, ...]:
    """The kinds of tasks that the person may have."""
    if request.state.person.may(Role.SECOND):
        return GROUP, KEY, SECOND, AUDIT
    return GROUP, KEY


def may_see_pages(request: Request, review: JobReview) -> bool:
    """Whether the person may see whole pages: supervisors always, others unless they are masked."""
    if request.state.person.may(Role.SUPERVISOR):
        return True
    return not load_options(review.connection.store, review.record.job).masked
