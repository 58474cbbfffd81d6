"""inkmill purge, trail: what privacy asks for."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from inkmill.cli.display import many, say
from inkmill.cli.options import job_argument, json_option
from inkmill.cli.servers import connection
from inkmill.errors import UsageError
from inkmill.lifecycle.purge import KINDS


@click.command()
@job_argument
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    required=True,
    help="What to delete; may be given several times.",
)
def purge(job: str, kinds: tuple[str, ...]) -> None:
    """Delete a part of JOB, which must be finished: its pages, pictures, values, reports or trail.

    Its record and its counts stay; `inkmill delete` deletes everything.
    """
    from inkmill import producer

    count = producer.purge(job, kinds, connection=connection())
    say(f"job {job}: {many(count, 'object')} deleted ({', '.join(kinds)})")


@click.command()
@click.argument("job", required=False)
@click.option("--day", metavar="YYYY-MM-DD", help="What is about no job, on this day (UTC).")
@json_option
def trail(job: str | None, day: str | None, as_json: bool) -> None:
    """Show who viewed, changed and exported JOB at the desk, and who entered which fields.

    Values are not shown. Lines are time (UTC), person, action, details; tabs between them.
    """
    from inkmill.desk.people.history import history_of, history_of_day
    from inkmill.lifecycle.lookup import load_job

    if (job is None) == (day is None):
        raise UsageError("give a job, or --day")
    store = connection().store
    found = history_of_day(store, day) if day else history_of(store, load_job(store, str(job)).job)
    for deed in found:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(deed.time))
        line = "\t".join((when, deed.person, deed.action, deed.details))
        click.echo(json.dumps(asdict(deed), ensure_ascii=False) if as_json else line)
