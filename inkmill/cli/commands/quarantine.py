"""inkmill quarantine: what workers gave up, why, and once more."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click


@click.group()
def quarantine() -> None:
    """Images that workers gave up: those that crashed or hung what read them.

    Each has an error row already (CRASHED, TIMEOUT or QUARANTINED), and its job is finished.
    """


@quarantine.command("list")
@click.argument("job", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(job: str | None, as_json: bool) -> None:
    """List what was given up, of one JOB or of all."""
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
        click.echo("nothing was given up", err=True)


@quarantine.command()
@click.argument("job")
@click.argument("item", type=click.IntRange(0))
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the image to this file. It may harm what opens it.",
)
def show(job: str, item: int, save: Path | None) -> None:
    """Show why an item was given up."""
    from inkmill.errors import NotFound
    from inkmill.producer import connect
    from inkmill.producer.quarantine import given_up, image

    connection = connect()
    found = next((each for each in given_up(job, connection=connection) if each.item == item), None)
    if found is None:
        raise NotFound(f"item {item} of job {job} was not given up: `inkmill quarantine list`")
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
        click.echo(f"{save}: {len(data):,} bytes", err=True)


@quarantine.command()
@click.argument("job")
@click.option("--chunk", "chunks", type=click.IntRange(0), multiple=True, help="Only these chunks.")
def retry(job: str, chunks: tuple[int, ...]) -> None:
    """Read chunks with given-up images again, after what they died of was mended."""
    from inkmill.producer.quarantine import retry as again

    numbers = again(job, chunks)
    if numbers:
        shown = ", ".join(map(str, numbers))
        click.echo(f"sent again: chunk {shown}; `inkmill wait {job}` waits for it", err=True)
    else:
        click.echo("nothing was given up", err=True)
