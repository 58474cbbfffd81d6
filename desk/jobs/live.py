"""Progress as it happens: server-sent events with the parts of a page that changed.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from inkmill.desk.web.access import SESSION, context_of
from inkmill.errors import InkmillError

#: Seconds between two looks, between two signs of life, and until the browser connects anew.
_LOOK_SECONDS, _ALIVE_SECONDS, _WHOLE_SECONDS = 1.0, 15.0, 600.0


def stream(request: Request, draw: Callable[[], str]) -> Response:
    """Send what ``draw`` returns whenever it changed.

    Each event's data is JSON: ``html`` is the new content, or ``error`` says why there is none.
    ``over`` is true where the session ended; the browser then stops asking.
    """
    return StreamingResponse(
        events(request, draw),
        media_type="text/event-stream",
        # nginx would hold events back until its buffer is full.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def events(request: Request, draw: Callable[[], str]) -> AsyncIterator[str]:
    """The events, until the visitor leaves, the session ends or ten minutes passed."""
    sessions, token = context_of(request).sessions, request.cookies.get(SESSION, "")
    proxied = not token  # a reverse proxy checks who asks
    last, said, began = "", time.monotonic(), time.monotonic()
    yield "retry: 3000\n\n"
    while time.monotonic() - began < _WHOLE_SECONDS and not await request.is_disconnected():
        if not proxied and await run_in_threadpool(sessions.find, token) is None:
            yield _event(over=True)
            return
        try:
            event = _event(html=await run_in_threadpool(draw))
        except InkmillError as error:
            event = _event(error=str(error))
        if event != last:
            yield event
            last, said = event, time.monotonic()
        elif time.monotonic() - said > _ALIVE_SECONDS:
            yield ": nothing new\n\n"
            said = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)


def _event(**data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"
