"""What the addresses of the review have in common: the reviews in hand, and what people may do."""

from __future__ import annotations

import threading
from collections import OrderedDict

from starlette.requests import Request

from inkmill.desk.people.roles import Role
from inkmill.desk.people.users import Person
from inkmill.desk.review.cutting.pictures import Pictures
from inkmill.desk.review.tasks import AUDIT, GROUP, KEY, KINDS, SECOND
from inkmill.desk.review.work import JobReview
from inkmill.desk.web.access import context_of
from inkmill.lifecycle.lookup import load_job
from inkmill.producer.connection import Connection

#: Jobs that are held at a time: what is known of one takes some megabytes.
_MOST = 16


class Reviews:
    """Finds the review of a job; all requests of a process share it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, JobReview] = OrderedDict()
        self._lock = threading.Lock()
        self.pictures = Pictures(connection, connection.settings.cache_dir / "desk-pictures")

    def of(self, job: str) -> JobReview:
        """The review of a job by its name or id. Raises NotFound, or UsageError without a form."""
        record = self._connection.jobs.get(job)
        with self._lock:
            if (found := self._known.get(record.job)) is not None:
                self._known.move_to_end(record.job)
                return found
        made = JobReview(self._connection, load_job(self._connection.store, job).job)
        with self._lock:
            found = self._known.setdefault(record.job, made)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return found

    def close(self) -> None:
        """End the process that cuts pictures."""
        self.pictures.close()


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
    """The kinds of tasks that the person who asks may have."""
    return kinds_of(request.state.person)


def kinds_of(person: Person) -> tuple[str, ...]:
    """The kinds of tasks that a person may have."""
    if person.may(Role.SUPERVISOR):
        return KINDS
    if person.may(Role.SECOND):
        return GROUP, KEY, SECOND, AUDIT
    return GROUP, KEY


def may_see_pages(request: Request, review: JobReview) -> bool:
    """Whether the person may see whole pages: supervisors always, others unless they are masked."""
    if request.state.person.may(Role.SUPERVISOR):
        return True
    return not review.options.masked
