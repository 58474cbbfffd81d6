"""Addresses of the pages about jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require
from inkmill.desk.web.pages import render
from inkmill.producer import jobs


@require(Role.KEYER)
def listing(request: Request) -> Response:
    """All jobs, the newest first."""
    found = sorted(jobs(connection=context_of(request).connection), key=lambda job: -job.created)
    return render(request, "jobs/list.html", jobs=found)


routes: list[BaseRoute] = [Route("/jobs", listing, methods=["GET"])]
