"""Desk servers in this process that a test may stop and start again on their port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.producer import Connection
from tests.desk_browser import Look
from tests.unit.desk_visits import PASSWORD


@dataclass
class Desk:
    """A server on a port of its own, and its application."""

    address: str
    app: Any
    _server: uvicorn.Server
    _thread: threading.Thread

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(30)


def start_desk(connection: Connection, port: int = 0) -> Desk:
    """Serve a connection's jobs from a thread of this process."""
    listener = socket.create_server(("127.0.0.1", port))
    app = create_app(DeskContext(connection))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return Desk(f"http://127.0.0.1:{listener.getsockname()[1]}", app, server, thread)


@contextmanager
def desk_of(connection: Connection, people: Mapping[str, Role]) -> Iterator[Desk]:
    """A desk with these people."""
    running = start_desk(connection)
    for name, role in people.items():
        running.app.state.context.people.add(name, role, PASSWORD)
    yield running
    if (reviews := getattr(running.app.state, "reviews", None)) is not None:
        reviews.close()
    running.stop()


def sign_in(look: Look, name: str, path: str) -> None:
    """Sign in by keyboard, and open a page."""
    page = look.page
    page.goto(f"{look.base}/sign-in?next={path}")
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{look.base}{path}")
