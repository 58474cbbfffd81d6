"""Who may enter: sessions, roles, CSRF tokens and the bodies of requests.

Every request that changes something must carry the person's CSRF token, in the form field
``csrf`` or the header ``X-CSRF-Token``, and must not come from another site.
"""

from __future__ import annotations

import functools
import hmac
import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.people.sessions import csrf_token
from inkmill.desk.web.address import named_by_proxy
from inkmill.errors import NotFound, UsageError

SESSION = "inkmill_desk"
_SAFE = ("GET", "HEAD")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS, _MOST_FILES = 5_000, 20

Endpoint = Callable[[Request], Response | Awaitable[Response]]
Handler = Callable[[Request], Awaitable[Response]]


def context_of(request: Request) -> DeskContext:
    """What the pages of this server use."""
    found: DeskContext = request.app.state.context
    return found


def require(role: Role = Role.KEYER) -> Callable[[Endpoint], Handler]:
    """Let only people of at least this role call an endpoint, a plain or an async function.

    The endpoint finds ``request.state.person``, and the form that was sent as
    ``request.state.form`` (empty without one) or JSON as ``request.state.json``. Another kind of
    body is left for it to stream.

    A visitor who is not signed in is led to the sign-in page, or told so with status 401 where a
    script asks.
    """

    def decorate(endpoint: Endpoint) -> Handler:
        @functools.wraps(endpoint)
        async def guarded(request: Request) -> Response:
            token = await run_in_threadpool(identify, request)
            if request.state.person is None:
                return _sign_in_first(request)
            await read_body(request)
            if request.method not in _SAFE:
                check_token(request)
            if not request.state.person.may(role):
                raise HTTPException(
                    403, f"this page is for the role {role}; ask an administrator of the desk"
                )
            response = await call(endpoint, request)
            if token:
                set_session(request, response, token)
            return response

        return guarded

    return decorate


def open_to_all(endpoint: Endpoint) -> Handler:
    """An endpoint for visitors who are not signed in: requests of other sites are refused."""

    @functools.wraps(endpoint)
    async def guarded(request: Request) -> Response:
        token = await run_in_threadpool(identify, request)
        if request.method not in _SAFE:
            check_site(request)
        await read_body(request)
        response = await call(endpoint, request)
        if token:
            set_session(request, response, token)
        return response

    return guarded


async def call(endpoint: Endpoint, request: Request) -> Response:
    """The response of an endpoint; a plain function runs in a thread."""
    if inspect.iscoroutinefunction(endpoint):
        found: Response = await endpoint(request)
        return found
    return await run_in_threadpool(endpoint, request)  # type: ignore[arg-type]


def identify(request: Request) -> str:
    """Find out who is asking: sets ``request.state.person`` (None for nobody) and ``csrf``.

    Returns the token of a session that was begun because a reverse proxy names the person, "" in
    all other cases. Raises HTTPException for a person whom the proxy knows and the desk does not.
    """
    context = context_of(request)
    request.state.person, request.state.csrf, request.state.form = None, "", FormData()
    request.state.json = None
    token = request.cookies.get(SESSION, "")
    found = context.sessions.find(token) if token else None
    named, begun = named_by_proxy(request), ""
    if named and (found is None or found[1].name != named):
        try:
            person = context.people.get(named)
        except (NotFound, UsageError):
            raise HTTPException(
                403,
                f"the sign-in service knows you as {named!r}, the desk does not: ask an "
                "administrator to add this name",
            ) from None
        begun = context.sessions.begin(person)
        found = context.sessions.find(begun)
    if found is not None:
        request.state.person = found[1]
        request.state.csrf = csrf_token(found[1])
    return begun


async def read_body(request: Request) -> None:
    """Read a form or JSON into ``request.state``; the size is bounded by the application."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in _SAFE:
        return
    if kind in _FORMS:
        request.state.form = await request.form(max_fields=_MOST_FIELDS, max_files=_MOST_FILES)
    elif kind == "application/json":
        try:
            request.state.json = await request.json()
        except (ValueError, RecursionError):
            raise HTTPException(400, "the request is not JSON") from None


def check_token(request: Request) -> None:
    """Raises HTTPException unless the request carries the person's CSRF token."""
    check_site(request)
    sent: Any = request.headers.get("x-csrf-token") or request.state.form.get("csrf")
    wanted = request.state.csrf
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise HTTPException(
            403,
            "this page is from another person's session, or from before a change of the password: "
            "go back, reload it, and try again",
        )


def check_site(request: Request) -> None:
    """Raises HTTPException for a request that a page of another site makes."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:
        same = origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    if not same:
        raise HTTPException(403, "this request comes from a page of another site")


def set_session(request: Request, response: Response, token: str) -> None:
    """Give the browser a session's token."""
    response.set_cookie(
        SESSION,
        token,
        max_age=int(context_of(request).sessions.seconds),
        path=request.scope.get("root_path", "") or "/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def end_session(request: Request, response: Response) -> None:
    """Take the token away again."""
    response.delete_cookie(SESSION, path=request.scope.get("root_path", "") or "/")


def asks_for_json(request: Request) -> bool:
    """Whether a script of ours asks, which reads errors as JSON."""
    return "application/json" in request.headers.get("accept", "")


def _sign_in_first(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    here = request.url.path.removeprefix(root)
    if request.url.query:
        here += f"?{request.url.query}"
    page = f"{root}/sign-in?next={quote(here, safe='/')}"
    if request.method in _SAFE and not asks_for_json(request):
        return RedirectResponse(page, 303)
    words = (
        "your session is over: sign in again in another tab, then go back and repeat this; what "
        "you typed is still there"
    )
    if asks_for_json(request):
        return JSONResponse({"error": words, "sign_in": page}, 401)
    raise HTTPException(401, words)
