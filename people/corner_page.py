"""A page in the browser on which a person marks the corners of pages that were not located.

It is served on this machine only, under an address that nobody can guess, until all pages are done.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from inkmill.errors import InkmillError, ItemError
from inkmill.webpage import render

_HOST = "127.0.0.1"
#: Bytes of an answer: four corners need fewer.
_LONGEST_ANSWER = 4096

Corners = list[tuple[float, float]]


@dataclass(frozen=True)
class Shown:
    """A page to show: its number and name, why it was not located, and a reduced picture (JPEG).

    ``scale`` is how many pixels of the file one of the picture's stands for.
    """

    item: int
    source: str
    message: str
    jpeg: bytes
    scale: float


class CornerServer:
    """Shows pages one after another, and calls ``read`` with the corners that come back.

    ``show`` makes what is shown of an item; ``read`` reads it again and returns what was read in
    words. Its errors are shown, and the person may try again.
    """

    def __init__(
        self,
        items: Sequence[int],
        show: Callable[[int], Shown],
        read: Callable[[int, Corners], str],
    ) -> None:
        self._left = list(items)
        self._show = show
        self._read = read
        self._path = f"/{secrets.token_urlsafe(16)}"
        self._server = ThreadingHTTPServer((_HOST, 0), self._handler())
        self.url = f"http://{_HOST}:{self._server.server_port}{self._path}"

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve until all pages are done, or ``until`` says so; then close."""
        self._server.timeout = 0.2
        try:
            while self._left and not until():
                self._server.handle_request()
        finally:
            self._server.server_close()

    def _page(self) -> bytes:
        shown = self._show(self._left[0])
        pieces = render(
            Path(__file__).parent, "corners", connects=True, shown=shown, left=len(self._left)
        )
        return "".join(pieces).encode()

    def _answered(self, data: bytes) -> dict[str, Any]:
        """What the browser is told about an answer."""
        try:
            answer = json.loads(data)
            item, corners = int(answer["item"]), answer["corners"]
            points = [(float(x), float(y)) for x, y in corners] if corners else []
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"error": "the page sent no corners: load it again"}
        if not self._left or item != self._left[0]:
            return {"next": bool(self._left)}
        said = ""
        if points:
            try:
                said = self._read(item, points)
            except (InkmillError, ItemError) as error:
                return {"error": str(error)}
        self._left.pop(0)
        return {"read": said, "next": bool(self._left)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self._ours():
                    self._send(200, server._page(), "text/html; charset=utf-8")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if not self._ours() or not 0 < length <= _LONGEST_ANSWER:
                    return
                said = server._answered(self.rfile.read(length))
                self._send(200, json.dumps(said).encode(), "application/json")

            def _ours(self) -> bool:
                """Whether it is our address; a name that leads here is another site's."""
                if self.path == server._path and self.headers.get("Host", "").startswith(_HOST):
                    return True
                self._send(404, b"", "text/plain")
                return False

            def _send(self, status: int, data: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
