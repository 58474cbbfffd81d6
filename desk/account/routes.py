"""Addresses of signing in and out."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inkmill.desk.account import people_pages
from inkmill.desk.account.first_link import redeem
from inkmill.desk.account.trail_page import trail
from inkmill.desk.people.roles import Role
from inkmill.desk.people.throttle import Throttle
from inkmill.desk.web.access import (
    SESSION,
    context_of,
    end_session,
    open_to_all,
    require,
    set_session,
)
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import redirect, render

_MOST_NAME = 200


@open_to_all
def sign_in_page(request: Request) -> Response:
    """The form for name and password."""
    return render(request, "account/sign-in.html", next=_next(request.query_params.get("next")))


@open_to_all
def sign_in(request: Request) -> Response:
    """Check name and password; too many wrong ones must wait."""
    context, form = context_of(request), request.state.form
    name = str(form.get("name", "")).strip().lower()[:_MOST_NAME]
    throttle = Throttle(context.queue.client)
    if seconds := throttle.begin(name, address(request)):
        raise HTTPException(
            429,
            f"too many failed tries to sign in: try again in {-(-seconds // 60)} minutes, or ask "
            "an administrator for a new password",
            headers={"Retry-After": str(seconds)},
        )
    person = context.people.check(name, str(form.get("password", "")))
    after = _next(str(form.get("next", "")))
    if person is None:
        context.trail.add(name, "sign-in-failed", address=address(request))
        return render(
            request, "account/sign-in.html", status=401, next=after, wrong=True, name=name
        )
    throttle.succeeded(name, address(request))
    context.sessions.sweep()
    context.trail.add(person.name, "sign-in", address=address(request))
    response = redirect(request, after)
    set_session(request, response, context.sessions.begin(person))
    return response


@open_to_all
def first(request: Request) -> Response:
    """The one-time link that the first start prints."""
    context = context_of(request)
    person = redeem(context, request.query_params.get("token", ""))
    context.trail.add(person.name, "first-link", address=address(request))
    words = "You are signed in as an administrator. Choose a password for next time."
    response = redirect(request, "/account", words)
    set_session(request, response, context.sessions.begin(person))
    return response


@require(Role.KEYER)
def sign_out(request: Request) -> Response:
    """End the session, on every server."""
    context = context_of(request)
    context.sessions.end(request.cookies.get(SESSION, ""))
    context.trail.add(request.state.person.name, "sign-out", address=address(request))
    response = redirect(request, "/sign-in", "You are signed out.")
    end_session(request, response)
    return response


def _next(path: str | None) -> str:
    """Where to go after signing in: only to a page of the desk."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return "/"
    return path


routes: list[BaseRoute] = [
    Route("/sign-in", sign_in_page, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/first", first, methods=["GET"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/account", people_pages.own, methods=["GET"]),
    Route("/account", people_pages.change_own, methods=["POST"]),
    Route("/people", people_pages.people, methods=["GET"]),
    Route("/people", people_pages.change_people, methods=["POST"]),
    Route("/trail", trail, methods=["GET"]),
]
