"""Pages about people: one's own password; for administrators, who may sign in."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import Response

from inkmill.desk.people.roles import Role
from inkmill.desk.web.access import context_of, require, set_session
from inkmill.desk.web.address import address
from inkmill.desk.web.pages import redirect, render
from inkmill.errors import InkmillError, UsageError

#: Random characters of a password that an administrator hands over: 72 bits.
_HANDED_BYTES = 9


@require(Role.KEYER)
def own(request: Request) -> Response:
    """The form for one's own password."""
    return render(request, "account/own.html")


@require(Role.KEYER)
def change_own(request: Request) -> Response:
    """Change one's own password; other sessions of the same person end."""
    context, form, person = context_of(request), request.state.form, request.state.person
    new = str(form.get("new", ""))
    try:
        # Who came by the one-time link or a reverse proxy has none yet.
        if person.password and context.people.check(person.name, str(form.get("old", ""))) is None:
            raise UsageError("the present password is wrong")
        if new != str(form.get("again", "")):
            raise UsageError("the two new passwords differ: type the same twice")
        changed = context.people.set_password(person.name, new)
    except UsageError as error:
        return render(request, "account/own.html", status=400, problem=str(error))
    context.trail.add(person.name, "passwd", "own", address=address(request))
    response = redirect(request, "/account", "Your password is changed.")
    set_session(request, response, context.sessions.begin(changed))
    return response


@require(Role.ADMIN)
def people(request: Request) -> Response:
    """Who may sign in, with what role."""
    return _people(request)


def _people(request: Request, problem: str = "", handed: tuple[str, str] | None = None) -> Response:
    return render(
        request,
        "account/people.html",
        status=400 if problem else 200,
        people=list(context_of(request).people.all()),
        roles=list(Role),
        problem=problem,
        handed=handed,
    )


@require(Role.ADMIN)
def change_people(request: Request) -> Response:
    """Add or remove a person, give another role or a new password."""
    form = request.state.form
    name = str(form.get("name", "")).strip().lower()
    acts = {"add": _add, "role": _role, "password": _password, "remove": _remove}
    act = acts.get(str(form.get("action", "")))
    try:
        if act is None:
            raise UsageError("there is no such action")
        if name == request.state.person.name and act is not _password:
            raise UsageError("this is yourself: ask another administrator, or use the command line")
        handed = act(request, name)
    except InkmillError as error:
        return _people(request, str(error))
    context = context_of(request)
    role = str(form.get("role", ""))
    told = f"{name} {role}" if act in (_add, _role) else name
    context.trail.add(
        request.state.person.name, f"{form.get('action')}-user", told, address=address(request)
    )
    return _people(request, handed=(name, handed) if handed else None)


def _add(request: Request, name: str) -> str:
    password = secrets.token_urlsafe(_HANDED_BYTES)
    context_of(request).people.add(name, _chosen_role(request), password)
    return password


def _role(request: Request, name: str) -> str:
    context_of(request).people.set_role(name, _chosen_role(request))
    return ""


def _password(request: Request, name: str) -> str:
    password = secrets.token_urlsafe(_HANDED_BYTES)
    context_of(request).people.set_password(name, password)
    return password


def _remove(request: Request, name: str) -> str:
    context_of(request).people.remove(name)
    return ""


def _chosen_role(request: Request) -> Role:
    try:
        return Role(str(request.state.form.get("role", "")))
    except ValueError:
        raise UsageError("there is no such role") from None
