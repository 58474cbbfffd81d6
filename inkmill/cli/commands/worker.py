"""inkmill worker: read chunks from the queue and write their rows."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import click


@click.command()
@click.option(
    "--engines", type=click.IntRange(1), help="Engine processes.  [default: one per core]"
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    help="Chunks held at once.  [default: two per engine and one]",
)
@click.option("--queues", metavar="LIST", help="Priorities to serve, such as high,normal.")
@click.option(
    "--until-eof",
    is_flag=True,
    help="Shut down when standard input ends: for programs that start workers.",
)
def worker(
    engines: int | None, concurrency: int | None, queues: str | None, until_eof: bool
) -> None:
    """Read chunks from the queue and write their rows, until SIGTERM or Ctrl-C.

    Start as many workers as you like, on any machine that has the settings.
    """
    options = {"ENGINES": engines, "CONCURRENCY": concurrency, "QUEUES": queues}
    for name, value in options.items():
        if value is not None:
            os.environ[f"INKMILL_{name}"] = str(value)
    from inkmill.worker.app import serve

    if until_eof:
        threading.Thread(target=_leave_at_eof, name="parent", daemon=True).start()
    raise SystemExit(serve())


def _leave_at_eof() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
