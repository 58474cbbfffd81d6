"""Where a request comes from, and whom a reverse proxy says it is from."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from inkmill.settings import Settings


class BehindProxy:
    """Takes the scheme (https) that a configured reverse proxy was asked with."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = (scope.get("client") or ("",))[0]
        if scope["type"] == "http" and is_proxy(self._settings, peer):
            forwarded = Headers(scope=scope).get("x-forwarded-proto", "")
            if forwarded in ("http", "https"):
                scope["scheme"] = forwarded
        await self._app(scope, receive, send)


def address(request: Request) -> str:
    """The address of the client; that of the proxy's client where a configured proxy asks."""
    peer = request.client.host if request.client else ""
    settings: Settings = request.app.state.context.settings
    forwarded = request.headers.get("x-forwarded-for", "")
    if forwarded and is_proxy(settings, peer):
        # The proxy appends whom it saw: what stands before that was sent by the client.
        last = forwarded.rpartition(",")[2].strip()
        return last[:64] or peer
    return peer


def named_by_proxy(request: Request) -> str:
    """The person that the reverse proxy's header names, in lower case; "" if none does."""
    settings: Settings = request.app.state.context.settings
    peer = request.client.host if request.client else ""
    if not settings.desk_user_header or not is_proxy(settings, peer):
        return ""
    return request.headers.get(settings.desk_user_header, "").strip().lower()


def is_proxy(settings: Settings, peer: str) -> bool:
    """Whether this address is one of the configured reverse proxies."""
    try:
        found = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(each, strict=False) for each in settings.desk_proxies)
