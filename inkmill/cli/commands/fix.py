"""inkmill fix: give the corners of a page that could not be located."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import say
from inkmill.cli.options import job_argument
from inkmill.cli.servers import connection
from inkmill.errors import ItemError, UsageError

if TYPE_CHECKING:
    from inkmill.models.weights import ModelFiles

_POINT = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*")


@click.command()
@job_argument
@click.argument("page", metavar="ITEM")
@click.option(
    "--corners",
    required=True,
    metavar="'X,Y X,Y X,Y X,Y'",
    help="In pixels of the scan: the centres of the form's first four marks (without marks, the "
    "page's corners), clockwise, beginning at the form's top left.",
)
@click.option("--form", metavar="NAME", help="Template of the page, if the job has several.")
@click.option("--page", "number", type=click.IntRange(1), metavar="N", help="Page of the form.")
def fix(job: str, page: str, corners: str, form: str | None, number: int | None) -> None:
    """Read page ITEM of JOB again, located by four corners that you give.

    ITEM is the number in the table's column "item". From then on the new row counts, in
    `inkmill results` and everywhere else. Needs the extra "worker".
    """
    points = _points(corners)
    from inkmill.models.registry import Registry
    from inkmill.people.fix import find_page
    from inkmill.producer.tables import fixes
    from inkmill.worker.reread import read_with_corners

    connected = connection()
    record, item, data = find_page(connected, job, page)

    def files(name: str, version: str) -> ModelFiles:
        registry = Registry(connected.store, name)
        return registry.fetch(version or registry.find("latest"))

    strips = record.strips_model
    try:
        row = read_with_corners(
            connected.settings,
            record,
            item,
            data,
            files(record.options.model, record.version),
            points,
            form,
            number,
            files(strips, record.strips_version) if strips else None,
        )
    except ItemError as error:
        raise UsageError(f"item {page} of job {job}: {error}") from None
    fixes.keep(connected.store, record.job, row)
    for field in row.fields:
        note = f"  {field.status}: {field.message}" if field.code else ""
        click.echo(f"{field.name:<24} {field.value:<12} {field.raw:<12}{note}")
    say(f"item {row.item} ({row.source}) was read again: {row.status}")


def _points(text: str) -> list[tuple[float, float]]:
    found = [_POINT.fullmatch(each) for each in text.replace(";", " ").split()]
    points = [(float(each[1]), float(each[2])) for each in found if each]
    if len(points) != 4 or len(found) != 4:
        raise UsageError(
            f"--corners {text!r}: give four points, such as '80,95 1570,90 1575,2240 85,2250'"
        )
    return points
