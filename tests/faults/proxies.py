"""Things between a program and its servers that the tests let go wrong."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOST = "127.0.0.1"


class TcpProxy:
    """Passes bytes on to a local port; or swallows them, with every connection left open.

    With ``tls``, clients come by TLS, and the server gets what they say in plain.
    """

    def __init__(
        self, target: int, host: str = _HOST, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target = target
        self._tls = tls
        self._passing = threading.Event()
        self._passing.set()
        self._listener = socket.create_server((host, 0))
        self._held: list[socket.socket] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> TcpProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for each in self._held:
            each.close()

    def swallow(self) -> None:
        """From now on, what is sent arrives nowhere: a half-open connection."""
        self._passing.clear()

    def heal(self) -> None:
        """New connections work again; those of before stay dead."""
        held, self._held = self._held, []
        self._passing.set()
        for each in held:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._tls is not None:
                try:
                    near = self._tls.wrap_socket(near, server_side=True)
                except OSError:
                    near.close()  # no TLS, or no certificate that is known here
                    continue
            self._held.append(near)
            if not self._passing.is_set():
                continue  # the connection is made, and never answered
            try:
                far = socket.create_connection((_HOST, self._target))
            except OSError:
                near.close()  # the server is down: its clients are told
                continue
            self._held.append(far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if not self._passing.is_set():
                    return  # without closing: neither side is told
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return


#: What a fault does with a request: a status to answer with, or one of the words below.
#: ``hang``: no answer; ``cut``: half of the body, then the connection ends; ``flip``: one bit of
#: the answer is another; ``shorten``: an answer that is shorter and says so; ``lost``: the
#: request is done, the answer never comes.
Fault = int | str


@dataclass
class _Rule:
    fault: Fault
    methods: str
    part: str
    left: int


@dataclass
class S3Proxy:
    """Passes S3 requests on to the real server, unless a rule says what goes wrong with them."""

    endpoint: str
    struck: int = 0
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> S3Proxy:
        target = urlsplit(self.endpoint)
        proxy = self

        class Handler(_Handler):
            server_proxy = proxy
            address = (target.hostname or _HOST, target.port or 80)

        self._server = ThreadingHTTPServer((_HOST, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._server.server_address[1]}"

    def fail(self, fault: Fault, methods: str = "", part: str = "", times: int = 10**9) -> None:
        """The next ``times`` requests of these methods, with ``part`` in their path, go wrong."""
        with self._lock:
            self._rules.append(_Rule(fault, methods, part, times))

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._rules.clear()

    def fault_for(self, method: str, path: str) -> Fault | None:
        """What befalls this request."""
        with self._lock:
            for rule in self._rules:
                if rule.left and rule.part in path and (not rule.methods or method in rule.methods):
                    rule.left -= 1
                    self.struck += 1
                    return rule.fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_proxy: S3Proxy
    address: tuple[str, int]

    def _serve(self) -> None:
        fault = self.server_proxy.fault_for(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut" and self.command == "PUT":
            # Half an upload, then the connection ends for both sides.
            self._forward(self.rfile.read(length // 2), whole=False)
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault == "hang":
            time.sleep(30)
            self._hang_up()
        elif isinstance(fault, int):
            self._refuse(fault)
        else:
            self._answer(self._forward(body), fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def _forward(self, body: bytes, whole: bool = True) -> tuple[int, list[tuple[str, str]], bytes]:
        far = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            far.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    far.putheader(name, value)
            far.endheaders(body or None)
            if not whole:
                return 0, [], b""
            answer = far.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            far.close()

    def _answer(self, got: tuple[int, list[tuple[str, str]], bytes], fault: Fault | None) -> None:
        status, headers, data = got
        if fault == "lost":
            self._hang_up()
            return
        if fault == "flip" and data:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]
        if fault == "shorten":
            data = data[: len(data) // 2]
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        about = dict(headers)
        length = about.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self._hang_up()
        elif self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int) -> None:
        code = {403: "AccessDenied", 404: "NoSuchBucket", 503: "SlowDown"}.get(
            status, "InternalError"
        )
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            return  # one of the two sides has gone, as a fault wanted it

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the workers' log tells what they saw."""
