"""inkmill quarantine: images that were given up, why, and how to retry them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from inkmill.cli.display import say
from inkmill.cli.options import FILE, job_argument, json_option


@click.group()
def quarantine() -> None:
    """List and retry images that crashed or hung the process that read them.

    Each has its error row (CRASHED, TIMEOUT or QUARANTINED), and its job is finished.
    """


@quarantine.command("list")
@click.argument("job", required=False)
@json_option
def list_(job: str | None, as_json: bool) -> None:
    """List the quarantined items of one JOB or of all jobs."""
    from dataclasses import asdict

    from inkmill.producer.quarantine import given_up

    found = False
    for each in given_up(job):
        found = True
        if as_json:
            click.echo(json.dumps(asdict(each), ensure_ascii=False))
            continue
        source = each.source or "(name lost)"
        click.echo(f"{each.job}  chunk {each.chunk}  item {each.item}  {each.code:<11} {source}")
    if not found:
        say("nothing is quarantined")


@quarantine.command()
@job_argument
@click.argument("item", type=click.IntRange(0))
@click.option(
    "--save",
    type=FILE,
    help="Write the image to this file. It may harm the program that opens it.",
)
def show(job: str, item: int, save: Path | None) -> None:
    """Show why ITEM of JOB was quarantined."""
    from inkmill.errors import NotFound
    from inkmill.producer import connect
    from inkmill.producer.quarantine import given_up, image

    connection = connect()
    found = next((each for each in given_up(job, connection=connection) if each.item == item), None)
    if found is None:
        raise NotFound(
            f"item {item} of job {job} is not quarantined: see `inkmill quarantine list`"
        )
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.time))
    for name, value in (
        ("source", found.source or "(name lost)"),
        ("page", found.page),
        ("chunk", found.chunk),
        ("code", found.code),
        ("cause", found.message),
        ("when", when),
    ):
        click.echo(f"{name:<8}{value}")
    if save is not None:
        _, data = image(connection, job, item)
        save.write_bytes(data)
        say(f"{save}: {len(data):,} bytes")


@quarantine.command()
@job_argument
@click.option(
    "--chunk",
    "chunks",
    metavar="N",
    type=click.IntRange(0),
    multiple=True,
    help="Only this chunk (repeatable).",
)
def retry(job: str, chunks: tuple[int, ...]) -> None:
    """Read the chunks of JOB that contain such images again, after the cause was fixed."""
    from inkmill.producer.quarantine import retry as again

    if numbers := again(job, chunks):
        shown = ", ".join(map(str, numbers))
        say(f"sent again: chunk {shown}; `inkmill wait {job}` waits for it")
    else:
        say("nothing is quarantined")
