"""inkmill fix: give the corners of pages that could not be located."""

from __future__ import annotations

import re
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import many, say
from inkmill.cli.options import job_argument
from inkmill.cli.servers import connection
from inkmill.errors import ItemError, UsageError

if TYPE_CHECKING:
    from inkmill.models.weights import ModelFiles
    from inkmill.people.corner_page import Corners, Shown
    from inkmill.people.fix import Fixer
    from inkmill.producer.connection import Connection
    from inkmill.records.rows import Row

_POINT = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*")
#: Longer side in pixels of the picture on which corners are clicked.
_SHOWN_SIDE = 1600


@click.command()
@job_argument
@click.argument("pages", metavar="[ITEM]...", nargs=-1)
@click.option(
    "--corners",
    metavar="'X,Y X,Y X,Y X,Y'",
    help="In pixels of the scan: the centres of the form's first four marks (without marks, the "
    "page's corners), clockwise, beginning at the form's top left; for several ITEMs, pages of one "
    "size that lie alike. Without this option, a page in the browser asks for them.",
)
@click.option("--form", metavar="NAME", help="Template of the page, if the job has several.")
@click.option("--page", "number", type=click.IntRange(1), metavar="N", help="Page of the form.")
@click.option("--no-browser", is_flag=True, help="Print the page's address, and open no browser.")
def fix(
    job: str,
    pages: tuple[str, ...],
    corners: str | None,
    form: str | None,
    number: int | None,
    no_browser: bool,
) -> None:
    """Read pages ITEM of JOB again, located by four corners that you give.

    ITEM is the number in the table's column "item"; without it, all pages of the job that were not
    located come one after another. Opens a page in the browser, on this machine only, on which you
    click the corners. From then on the new rows count, in `inkmill results` and everywhere else.
    Needs the extra "worker".
    """
    if corners is not None and not pages:
        raise UsageError("--corners are those of one page, or of pages that lie alike: name ITEMs")
    points = _points(corners) if corners is not None else None
    from inkmill.people.fix import Fixer

    connected = connection()
    fixer = Fixer(connected, job)
    read = _reading(connected, fixer, form, number)
    if points is not None:
        _read_alike(fixer, [fixer.find(page)[0].item for page in pages], points, read)
        return
    items = [fixer.find(page)[0].item for page in pages] or fixer.unlocated()
    if not items:
        say(f"all pages of job {job} were located")
        return
    _in_browser(fixer, items, read, no_browser)


def _reading(
    connected: Connection, fixer: Fixer, form: str | None, number: int | None
) -> Callable[[int, Corners], str]:
    """Reads an item with corners, keeps its new row and says what became of it."""
    from inkmill.models.registry import Registry
    from inkmill.worker.reread import PageReader, read_with_corners

    record = fixer.record

    def files(name: str, version: str) -> ModelFiles:
        registry = Registry(connected.store, name)
        return registry.fetch(version or registry.find("latest"))

    strips = record.strips_model
    reader = PageReader(
        files(record.options.model, record.version),
        connected.settings.confidence,
        files(strips, record.strips_version) if strips else None,
    )

    def read(page: int, points: Corners) -> str:
        item, data = fixer.find(str(page))
        try:
            row = read_with_corners(
                reader, connected.settings, record, item, data, points, form, number
            )
        except ItemError as error:
            raise UsageError(f"item {page} of job {record.job}: {error}") from None
        fixer.keep(row)
        _print(row)
        return f"{row.source} was read again: {row.status}."

    return read


def _read_alike(
    fixer: Fixer, items: list[int], points: Corners, read: Callable[[int, Corners], str]
) -> None:
    """Read pages with the same corners: those that have the size of the first.

    Raises UsageError at the end if some could not be read.
    """
    size, problems = _size(fixer, items[0]), list[str]()
    for item in items:
        try:
            if _size(fixer, item) != size:
                raise UsageError(f"item {item} has another size than item {items[0]}: fix it alone")
            read(item, points)
        except UsageError as error:
            if len(items) == 1:
                raise
            problems.append(str(error))
            say(str(error))
    if problems:
        raise UsageError(
            f"{len(problems)} of {many(len(items), 'page')} were not read; the first: {problems[0]}"
        )


def _size(fixer: Fixer, number: int) -> tuple[int, int]:
    """Height and width of a page's scan in pixels."""
    from inkmill.forms.intake import decode_page

    item, data = fixer.find(str(number))
    try:
        height, width = decode_page(data, item.page).grey.shape
    except ItemError as error:
        raise UsageError(f"item {number}: {error}") from None
    return height, width


def _in_browser(
    fixer: Fixer, items: list[int], read: Callable[[int, Corners], str], no_browser: bool
) -> None:
    from inkmill.people.corner_page import CornerServer

    server = CornerServer(items, lambda item: _shown(fixer, item), read)
    say(f"{many(len(items), 'page')} to locate: {server.url} (Ctrl-C ends)")
    if not no_browser:
        webbrowser.open(server.url)
    server.run()


def _shown(fixer: Fixer, number: int) -> Shown:
    """A page of the job, small enough for a browser."""
    import cv2

    from inkmill.forms.intake import decode_page
    from inkmill.people.corner_page import Shown

    item, data = fixer.find(str(number))
    try:
        grey = decode_page(data, item.page).grey
    except ItemError as error:
        raise UsageError(f"item {number}: {error}") from None
    scale = max(1.0, max(grey.shape) / _SHOWN_SIDE)
    size = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return Shown(number, item.source, fixer.reason(number), bytes(jpeg), scale)


def _print(row: Row) -> None:
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
