"""What a server of the desk counts for Prometheus.

The figures are served on a port of their own (`inkmill.monitor`), never among the pages: they ask
for no password.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()

REQUESTS = Counter(
    "inkmill_desk_requests",
    "Requests, by method and status.",
    ["method", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "inkmill_desk_request_seconds",
    "Seconds until a response was sent completely, without streams of events.",
    registry=REGISTRY,
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
LEASES = Counter(
    "inkmill_desk_leases",
    "Tasks of reviews that were given to people.",
    ["kind"],
    registry=REGISTRY,
)
FIELDS = Counter(
    "inkmill_desk_keyed_fields",
    "Fields that people settled, by kind of task; late: after somebody else.",
    ["kind", "late"],
    registry=REGISTRY,
)
#: Methods that are counted by name: a client may send any word.
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_EVENTS = b"text/event-stream"


class Measured:
    """Counts every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "other"
        began, is_stream = time.monotonic(), False

        async def counted(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                REQUESTS.labels(method, str(message["status"])).inc()
                headers = dict(message.get("headers", ()))
                is_stream = headers.get(b"content-type", b"").startswith(_EVENTS)
            await send(message)

        await self._app(scope, receive, counted)
        if not is_stream:
            REQUEST_SECONDS.observe(time.monotonic() - began)
