"""inkmill top: the queue, workers and jobs, live in the terminal."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from inkmill.cli.servers import connection
from inkmill.errors import StoreDenied, Unreachable

if TYPE_CHECKING:
    from rich.console import Console

    from inkmill.producer.snapshot import Sampler

#: Columns where there is no terminal, unless COLUMNS says otherwise: room for all tables.
_WIDTH = 110


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(0.5),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two frames.",
)
@click.option("--once", is_flag=True, help="Print one frame and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print one frame as JSON and exit.")
def top(interval: float, once: bool, as_json: bool) -> None:
    """Show queues, workers and open jobs with their rates, live, until Ctrl-C.

    Without a terminal, one frame is printed, as with --once. A job's rate is that of the last
    minute; in a first frame, the mean since it was submitted.
    """
    from rich.console import Console

    from inkmill.cli.top_screen import screen
    from inkmill.producer.snapshot import Sampler

    sampler = Sampler(connection())
    if as_json:
        click.echo(json.dumps(asdict(sampler.take())))
    elif sys.stdout.isatty() and not once:
        _live(sampler, Console(), interval)
    else:
        wide = sys.stdout.isatty() or "COLUMNS" in os.environ
        Console(width=None if wide else _WIDTH).print(screen(sampler.take()))


def _live(sampler: Sampler, console: Console, interval: float) -> None:
    """Frame after frame until Ctrl-C; servers that are away are said, and asked again."""
    from rich.live import Live
    from rich.text import Text

    from inkmill.cli.top_screen import screen

    # What warnings would say, the frame says; they would tear it.
    logging.getLogger("inkmill").setLevel(logging.ERROR)
    frame = screen(sampler.take(), console.height)
    with Live(frame, console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(interval)
                try:
                    live.update(screen(sampler.take(), console.height), refresh=True)
                except (Unreachable, StoreDenied) as error:
                    live.update(Text(str(error), style="bold red"), refresh=True)
        except KeyboardInterrupt:
            return
