"""The audit trail of a day, for supervisors. The trail of a job is on the job's page."""

from __future__ import annotations

import datetime

from starlette.requests import Request
from starlette.responses import Response

from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.pages import render
from inkmill.errors import UsageError

_MOST_EVENTS = 500


@require(Role.SUPERVISOR)
def trail(request: Request) -> Response:
    """What people did on a day, where it is about no single job."""
    asked = (
        request.query_params.get("day") or datetime.datetime.now(datetime.UTC).date().isoformat()
    )
    try:
        day = datetime.date.fromisoformat(asked)
    except ValueError:
        raise UsageError(f"{asked[:20]!r} is not a day: write YYYY-MM-DD") from None
    found = context_of(request).trail.of_day(day.isoformat(), _MOST_EVENTS)
    return render(
        request, "account/trail.html", trail=found, day=day.isoformat(), most=_MOST_EVENTS
    )
