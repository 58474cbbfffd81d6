"""Errors as pages: what happened, to what, and what to do; never a traceback."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inkmill.desk.web.access import asks_for_json
from inkmill.desk.web.pages import render
from inkmill.errors import (
    CannotStart,
    Corrupt,
    InkmillError,
    JobBusy,
    NotFinished,
    NotFound,
    PreconditionFailed,
    StoreDenied,
    Unreachable,
    UsageError,
)
from inkmill.urls import redact

log = logging.getLogger(__name__)

#: The first that fits.
_STATUSES: tuple[tuple[type[InkmillError], int], ...] = (
    (NotFound, 404),
    (JobBusy, 409),
    (NotFinished, 409),
    (PreconditionFailed, 409),
    (UsageError, 400),
    (Unreachable, 503),
    (StoreDenied, 503),
    (CannotStart, 503),
    (Corrupt, 500),
)
_TITLES = {
    400: "This cannot be done",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed",
    409: "Not now",
    413: "Too large",
    429: "Too many tries",
    503: "Not at the moment",
}
_WORDS = {
    404: "there is no such page: the address may be mistyped, or what it showed was deleted",
    405: "this address cannot be used like that",
    413: "what was sent is too large: send less at once",
}


def status_of(error: InkmillError) -> int:
    """The HTTP status of one of Inkmill's errors."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def inkmill_error(request: Request, error: Exception) -> Response:
    """What a visitor sees of an error of Inkmill's."""
    assert isinstance(error, InkmillError)
    status = status_of(error)
    if status >= 500:
        log.warning("%s %s: %s", request.method, request.url.path, redact(str(error)))
    return _show(request, status, redact(str(error)))


def http_error(request: Request, error: Exception) -> Response:
    """What a visitor sees of a refused request."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    response = _show(request, status, _WORDS.get(status, error.detail))
    response.headers.update(error.headers or {})
    return response


def internal_error(request: Request, error: Exception) -> Response:
    """What a visitor sees of a bug; the log has the traceback."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    words = (
        f"internal error: {type(error).__name__}. This is a bug in Inkmill; the log of the desk's "
        "server has the details. What was confirmed before is stored"
    )
    return _show(request, 500, words)


def _show(request: Request, status: int, message: str) -> Response:
    if message.partition(" ")[0].isalpha():  # a word, and no name of a file
        message = message[:1].upper() + message[1:]
    if asks_for_json(request):
        return JSONResponse({"error": message}, status)
    title = _TITLES.get(status, "Something went wrong")
    return render(request, "error.html", status=status, title=title, message=message)
