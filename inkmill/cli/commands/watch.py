"""inkmill watch: what lands in a folder is submitted, once."""

from __future__ import annotations

import signal
from typing import Any

import click

from inkmill.names import PRIORITIES
from inkmill.records.jobs import DOUBLES, HOLD


@click.command()
@click.argument("place", metavar="FOLDER|S3-URL")
@click.option("--form", metavar="FILE", help="Template of the scanned form (YAML).")
@click.option("--forms", metavar="DIR", help="Folder of templates; each page's own is told.")
@click.option("--doubles", type=click.Choice(DOUBLES), default=HOLD, show_default=True)
@click.option("--name", help="Name of the watch; its jobs are NAME-000000, NAME-000001 ...")
@click.option("--model", default="pinned", show_default=True)
@click.option("--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True)
@click.option("--chunk-size", type=click.IntRange(1), help="Items in a chunk.")
@click.option("--retention-days", type=click.IntRange(0), help="Delete jobs so long after.")
@click.option("--interval", type=click.FloatRange(0.1), default=5.0, show_default=True)
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Seconds that a file must keep its size before it counts as copied.",
)
@click.option("--once", is_flag=True, help="Take what is there and has settled, then end.")
def watch(
    place: str, name: str | None, interval: float, settle: float, once: bool, **options: Any
) -> None:
    """Submit every file that lands in FOLDER (or below s3://bucket/prefix/), once.

    Stop and start it as you like: what was submitted is remembered in the store. Each job's id
    is printed on stdout.
    """
    from inkmill.cli.commands.jobs import connection
    from inkmill.cli.display import say
    from inkmill.producer.watch import Watch, default_name
    from inkmill.producer.watch import watch as go_on

    name = name or default_name(place)
    watched = Watch(connection(), place, name, settle=0.0 if once else settle, **options)
    if once:
        while (job := watched.look()) is not None:
            click.echo(job)
        return
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    say(f"watching {place} as {name}; Ctrl-C stops")
    go_on(watched, interval, lambda: bool(stopped), click.echo)
