"""inkmill health: the health check of a container, or a probe of an orchestrator."""

from __future__ import annotations

import socket

import click


@click.command()
def health() -> None:
    """Exit with code 0 if a worker of this host reported recently, else 5.

    A worker reports to Redis when it starts to consume, and then every few seconds. This therefore
    fails while a worker starts, if its housekeeping hangs, and while Redis is unreachable.
    """
    from inkmill.backends.queue import WORKER_SECONDS, Queue
    from inkmill.errors import Unreachable
    from inkmill.settings import Settings

    host = socket.gethostname()
    workers = Queue(Settings.load()).workers()
    # A worker's name is host:process, see worker/app.py.
    here = {name: slots for name, slots in workers.items() if name.rpartition(":")[0] == host}
    if not here:
        raise Unreachable(f"no worker of {host} reported in the last {WORKER_SECONDS:.0f} s")
    for name, slots in here.items():
        click.echo(f"{name} takes up to {slots} chunks at once")
