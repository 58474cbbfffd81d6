"""inkmill watch: every file that arrives in a folder is submitted, once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Unpack

import click

from inkmill.cli.display import many, say
from inkmill.cli.options import submit_options
from inkmill.cli.servers import connection

if TYPE_CHECKING:
    from inkmill.producer.submission.options import SubmitOptions
    from inkmill.producer.watch import Watch

#: Absent sources that are named.
_SHOWN = 10


@click.command()
@click.argument("place", metavar="FOLDER|S3-URL")
@submit_options(
    name="Name of the watch; its jobs are NAME-000000, NAME-000001 ...",
    keys="Table (CSV) of document keys by source; read again for each job.",
    expect="List of sources; says which are absent, with --once in rows with MISSING.",
    new_revision="If a job NAME-000000 exists with other files, keep it and create NAME-000000-r2.",
    rehash="Changes nothing: a watch reads every file that it submits.",
    retention_days="Delete each job this many days after it is finished; 0 keeps it.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two checks of the folder.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a file must stay the same before it counts as complete.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the rest of a file whose end is missing; then it gets a row that "
    "says so.",
)
@click.option("--once", is_flag=True, help="Submit what is there, then exit.")
def watch(
    place: str,
    interval: float,
    settle: float,
    patience: float,
    once: bool,
    **options: Unpack[SubmitOptions],
) -> None:
    """Submit every file that arrives in FOLDER (or below s3://bucket/prefix/), once.

    It can be stopped and restarted at any time: the store records what was submitted. Prints the
    name of each job.
    """
    from inkmill.producer import watch as watching

    watched = watching.Watch(
        connection(), place, settle=settle, patience=patience, once=once, **options
    )
    if once:
        while (job := watched.look()) is not None:
            click.echo(job)
        return
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    say(f"watching {place} as {watched.name}; Ctrl-C stops")
    watching.watch(watched, interval, lambda: bool(stopped), click.echo)
    _tell_absent(watched)


def _tell_absent(watched: Watch) -> None:
    """Say at the end which expected sources never came."""
    if absent := watched.absent():
        shown = ", ".join(absent[:_SHOWN]) + (", ..." if len(absent) > _SHOWN else "")
        say(f"{many(len(absent), 'expected source')} did not arrive: {shown}")
