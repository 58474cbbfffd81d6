"""A small HTTP server for those who watch a process: metrics, probes, figures as JSON.

Paths: ``/metrics`` in Prometheus's text format, ``/livez`` and ``/readyz`` for an orchestrator's
probes, and any JSON documents that the process offers. Nothing is changed through it. It listens
on the loopback interface unless told otherwise, since it asks for no password.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from inkmill.errors import InkmillError, UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger(__name__)

#: Raises InkmillError, with the reason, where the process is not well.
Check = Callable[[], object]
#: Seconds that a client may take for its request.
_CLIENT_SECONDS = 10.0


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, ``[IPV6]:PORT`` or ``PORT``, which is on the loopback.

    Raises UsageError.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{text!r} is no address to listen on: use HOST:PORT or PORT")
    return host, int(port)


def render(registry: CollectorRegistry) -> bytes:
    """The metrics of a registry in Prometheus's text format."""
    from prometheus_client import generate_latest

    return generate_latest(registry)


class Monitor:
    """The server, in a thread of its own; ``address`` is where it listens, (host, port).

    Raises UsageError if the address cannot be used.
    """

    def __init__(
        self,
        address: tuple[str, int],
        registry: CollectorRegistry,
        *,
        alive: Check = lambda: None,
        ready: Check = lambda: None,
        documents: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        pages: dict[str, Callable[[], tuple[str, bytes]]] = {
            "/metrics": lambda: ("text/plain; version=0.0.4", render(registry)),
            "/livez": lambda: _probe(alive),
            "/readyz": lambda: _probe(ready),
        }
        for path, document in (documents or {}).items():
            pages[path] = lambda document=document: _json(document())  # type: ignore[misc]
        try:
            self._server = _Server(address, pages)
        except OSError as error:
            raise UsageError(f"cannot listen on {address[0]}:{address[1]}: {error}") from None
        host, port = self._server.server_address[:2]
        self.address = (str(host), int(port))
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def serve(
    listen: str | None,
    registry: CollectorRegistry,
    *,
    alive: Check = lambda: None,
    ready: Check = lambda: None,
) -> Monitor | None:
    """Serve a process's metrics and probes at HOST:PORT or PORT, if the setting names one.

    A port that cannot be used is an error in the log and None: the process's own work goes on,
    since somebody else on this host may have the port.
    """
    if listen is None:
        return None
    try:
        return Monitor(parse_address(listen), registry, alive=alive, ready=ready)
    except InkmillError as error:
        log.error("no metrics are served: %s", error)
        return None


@contextmanager
def monitored(
    listen: str | None, registry: CollectorRegistry, *, ready: Check = lambda: None
) -> Iterator[None]:
    """As `serve`, for as long as the block runs."""
    monitor = serve(listen, registry, ready=ready)
    try:
        yield
    finally:
        if monitor is not None:
            monitor.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], pages: Mapping[str, Callable[[], tuple[str, bytes]]]
    ) -> None:
        self.pages = pages
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            paths = ", ".join(self.server.pages)
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"there is {paths}\n".encode())
            return
        try:
            kind, body = page()
        except InkmillError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())
        else:
            self._answer(HTTPStatus.OK, kind, body)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _probe(check: Check) -> tuple[str, bytes]:
    check()
    return "text/plain", b"ok\n"


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
