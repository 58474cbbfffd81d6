"""Serving the desk with uvicorn, in one process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from inkmill.desk.account import first_link
from inkmill.desk.app import check, create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.web.metrics import REGISTRY
from inkmill.errors import UsageError
from inkmill.monitor import monitored

#: A stopping server waits so long for answers that are under way (seconds).
_SHUTDOWN_SECONDS = 5


def serve(context: DeskContext, host: str, port: int, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        context: What the pages use.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        announce: Called with each line for the person who started the server.

    Raises:
        UsageError: The port is taken, or the address is not one of this machine.
        Unreachable, StoreDenied: The store does not answer.
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    announce(f"the desk: {address}")
    if not context.people.somebody_can_sign_in():
        token = first_link.make(context)
        announce("nobody has a password yet. This link signs in as an administrator, once:")
        announce(f"  {address}/first?token={token}")
    config = uvicorn.Config(
        create_app(context),
        # uvicorn would replace the proxy's address, by which inkmill.desk.web.address knows it.
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="off",
    )
    # uvicorn passes Ctrl-C on once it has stopped: that is how this is meant to end.
    metrics = monitored(context.settings.metrics_listen, REGISTRY, ready=lambda: check(context))
    with listener, metrics, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}. Choose another with --host "
            "and --port"
        ) from None
