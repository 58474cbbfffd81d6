"""The application: every part's routes, behind the same doors."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from inkmill import names
from inkmill.backends.broker import reachable
from inkmill.backends.store import exists
from inkmill.desk.account.routes import routes as account
from inkmill.desk.context import DeskContext
from inkmill.desk.editor.routes import routes as editor
from inkmill.desk.jobs.routes import routes as jobs
from inkmill.desk.review.routes import routes as review
from inkmill.desk.training.pages import routes as training
from inkmill.desk.web import errors, static
from inkmill.desk.web.access import context_of
from inkmill.desk.web.address import BehindProxy
from inkmill.desk.web.headers import SecurityHeaders
from inkmill.desk.web.metrics import Measured
from inkmill.errors import InkmillError

#: Bytes of a request; routes that take files allow more (``Route(..., max_body_size=...)``).
_MOST_BYTES = 2 * 2**20


def create_app(context: DeskContext) -> Starlette:
    """The desk as an ASGI application, for uvicorn or another server.

    Args:
        context: Its settings, store and queue. Several servers may share a bucket and a Redis.

    Returns:
        The application. It makes no request to the servers before its first own.
    """
    app = Starlette(
        routes=[
            Route("/", home),
            Route("/livez", live),
            Route("/readyz", ready),
            Mount("/static", static.Files(), name="static"),
            *account,
            *jobs,
            *review,
            *editor,
            *training,
        ],
        middleware=[
            Middleware(Measured),
            Middleware(SecurityHeaders),
            Middleware(BehindProxy, settings=context.settings),
        ],
        exception_handlers={
            InkmillError: errors.inkmill_error,
            HTTPException: errors.http_error,
            Exception: errors.internal_error,
        },
        max_body_size=_MOST_BYTES,
    )
    app.state.context = context
    return app


async def home(request: Request) -> Response:
    """The first page: the jobs."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/jobs", 303)


async def live(_: Request) -> Response:
    """Whether the process answers."""
    return PlainTextResponse("ok\n")


def ready(request: Request) -> Response:
    """Whether store and queue answer, too."""
    try:
        check(context_of(request))
    except InkmillError as error:
        return PlainTextResponse(f"{error}\n", 503)
    return PlainTextResponse("ok\n")


def check(context: DeskContext) -> None:
    """Raises InkmillError if the store or the queue does not answer."""
    exists(context.store, names.desk_link())
    with reachable():
        context.queue.client.ping()
