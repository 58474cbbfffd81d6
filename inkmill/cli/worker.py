"""inkmill worker: take chunks from the queue and write their rows."""

from __future__ import annotations

import os

import click


@click.command()
@click.option("--engines", type=click.IntRange(1), help="Engine processes (default: one a core).")
@click.option("--concurrency", type=click.IntRange(1), help="Chunks held at once.")
@click.option("--queues", help="Priorities to serve, such as high,normal.")
def worker(engines: int | None, concurrency: int | None, queues: str | None) -> None:
    """Take chunks from the queue, read them, write their rows; until SIGTERM or Ctrl-C.

    Start as many as you like, on any machine that has the settings.
    """
    options = {"ENGINES": engines, "CONCURRENCY": concurrency, "QUEUES": queues}
    for name, value in options.items():
        if value is not None:
            os.environ[f"INKMILL_{name}"] = str(value)
    from inkmill.worker.app import serve

    raise SystemExit(serve())
