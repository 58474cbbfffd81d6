"""Pages from templates, and messages that outlive a redirect."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from inkmill import __version__
from inkmill.desk.people.roles import Role
from inkmill.desk.web import static

_FLASH = "inkmill_desk_said"
#: A cookie holds 4 kB; a longer message is cut.
_MOST_FLASH = 2_000


@cache
def environment() -> Environment:
    """The templates in desk/templates, with autoescape."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = "{:,}".format
    made.filters["when"] = when
    made.filters["ago"] = ago
    made.filters["quoted"] = lambda text: quote(str(text), safe="")
    made.globals.update(version=__version__, Role=Role)
    return made


def render(request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render ``template`` (a path below desk/templates).

    Templates extend ``base.html``. Besides ``values`` they find: ``request``; ``person`` (None
    before signing in); ``csrf``, the token that forms repeat in a hidden field of that name;
    ``url(path)`` and ``static(path)``, addresses that are right behind a reverse proxy as well;
    ``flashes``, messages of the last redirect.
    """
    flashes = _read_flash(request)
    response = HTMLResponse(fragment(request, template, flashes=flashes, **values), status)
    if flashes:
        response.delete_cookie(_FLASH, path=request.scope.get("root_path", "") or "/")
    return response


def fragment(request: Request, template: str, /, **values: Any) -> str:
    """A template as text: for a part of a page that a script puts in its place."""
    root = request.scope.get("root_path", "")
    found = environment().get_template(template)
    return found.render(
        request=request,
        path=request.url.path.removeprefix(root),
        person=getattr(request.state, "person", None),
        csrf=getattr(request.state, "csrf", ""),
        url=lambda path: root + path,
        static=lambda path: f"{root}/static/{path}?v={static.digest(path)}",
        **values,
    )


def redirect(request: Request, path: str, message: str = "", kind: str = "done") -> Response:
    """Lead on to another page of the desk, where ``message`` is shown.

    ``kind`` is "done" or "error".
    """
    root = request.scope.get("root_path", "")
    response = RedirectResponse(root + path, 303)
    if message:
        said = json.dumps([[kind, message[:_MOST_FLASH]]]).encode()
        response.set_cookie(
            _FLASH,
            base64.urlsafe_b64encode(said).decode(),
            max_age=60,
            path=root or "/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
    return response


def _read_flash(request: Request) -> list[tuple[str, str]]:
    found = request.cookies.get(_FLASH, "")
    try:
        said = json.loads(base64.urlsafe_b64decode(found.encode()))
        return [(str(kind), str(message)) for kind, message in said]
    except (ValueError, TypeError):
        return []


def when(seconds: float) -> str:
    """A time (seconds since the epoch) as people read it, in UTC; "" for 0."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) if seconds else ""


def ago(seconds: float) -> str:
    """How long ago a time is, roughly."""
    passed = max(0.0, time.time() - seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if passed >= 2 * size:
            return f"{int(passed // size)} {unit}"
    return f"{int(passed)} s"
