"""inkmill up: servers and workers on this machine."""

from __future__ import annotations

import signal
import time

import click

from inkmill.cli.display import many, say
from inkmill.cli.servers import HOME, local_stack


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Number of workers; 0 starts the servers alone.",
)
def up(workers: int) -> None:
    """Run Redis, an S3 server and workers on this machine until Ctrl-C.

    Other inkmill commands in the same folder find them by themselves.
    """
    from inkmill.settings import Settings

    # A second Ctrl-C during the shutdown must not leave servers behind.
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    with local_stack(workers, Settings.load()) as (settings, running):
        say(f"up: Redis {settings.redis_url.rpartition('@')[2]}, S3 {settings.s3_endpoint}")
        say("in this folder: inkmill submit PATH..., inkmill status, ...; Ctrl-C stops")
        while not stopped:
            time.sleep(0.2)
            if revived := running.revive():
                say(f"restarted {many(revived, 'worker')} that had exited: {HOME}/worker.log")
        say("stopping")
