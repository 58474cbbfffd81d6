"""`inkmill form check --on`: scans with a template's boxes, marks and readings drawn on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.cli.display import many, say
from inkmill.cli.model_argument import find_model
from inkmill.errors import ItemError, UsageError

if TYPE_CHECKING:
    from inkmill.forms.intake import Page
    from inkmill.forms.locate.registration import Located
    from inkmill.records.rows import Row
    from inkmill.template.form import Form

#: Scans on one picture: more become a picture that programs refuse to open.
_ON_A_SHEET = 24

#: A picture, uint8 (height, width, 3), and its caption.
Drawn = tuple[Any, str]


class Overlays:
    """Scans of one form, located and drawn; what happened is printed line by line.

    ``zoom`` names fields whose surroundings are shown alone; ``model`` reads the scans, if given.
    ``failed`` is the number of scans that were not located. Raises UsageError for an unknown field.
    """

    def __init__(self, form: Form, zoom: Sequence[str], model: str | None) -> None:
        self._form = form
        self._zoom = {name for pattern in zoom for name in form.names_in(pattern)}
        unknown = sorted(self._zoom - {field.name for field in form.all_fields})
        if unknown or (zoom and not self._zoom):
            raise UsageError(f"--zoom {(unknown or zoom)[0]}: the template has no such field")
        self._reader: Any = None
        if model is not None:
            from inkmill.settings import Settings
            from inkmill.worker.reread import PageReader

            self._reader = PageReader(find_model(model), Settings.load().confidence)
        self._marks: list[int] = []
        self._drawn = 0
        self._left_out = 0
        self.failed = 0

    def drawn(
        self, documents: Iterable[Iterable[tuple[str, Page]]], most: int | None
    ) -> Iterator[Drawn]:
        """Each page of the documents with its boxes, at most ``most`` of them."""
        for pages in documents:
            for position, (name, page) in enumerate(pages, 1):
                if most is not None and self._drawn == most:
                    self._left_out += 1
                    continue
                self._drawn += 1
                yield self._one(name, page, position)

    def say_summary(self) -> None:
        """Print on how many scans marks were seen, and how many scans were left out."""
        from inkmill.forms.make.remarks import marks_seen

        seen = marks_seen(self._form, self._marks)
        if seen is not None:
            click.echo(seen)
        if self._left_out:
            say(f"left out by --most: {many(self._left_out, 'scan')}")

    def _one(self, name: str, page: Page, position: int) -> Drawn:
        import cv2

        from inkmill.forms.make.picturing import around_fields, overlay
        from inkmill.forms.make.remarks import place_on_scan

        try:
            number, how, located = self._located(page, position)
            readings = self._readings(name, page, number, located)
        except ItemError as error:
            self.failed += 1
            self._marks.append(0)
            click.echo(f"{name}: {error.code} {error.message}", err=True)
            return cv2.cvtColor(page.grey, cv2.COLOR_GRAY2BGR), f"{name}: {error.code}"
        self._marks.append(located.marks)
        click.echo(f"{name}: {how}{place_on_scan(self._form, number, located)}")
        if readings is not None:
            click.echo("  " + ", ".join(f"{field} {value}" for field, value in readings.items()))
        caption = f"{name}: {how}{located.residual:.2g} {self._form.page.unit} off"
        if located.lost:
            caption += f", {many(len(located.lost), 'field')} not found"
        picture = overlay(page.grey, self._form, number, located, readings)
        if self._zoom:
            part = around_fields(picture, self._form, number, located, self._zoom)
            return (
                (picture, f"{name}: {how}none of the fields") if part is None else (part, caption)
            )
        return picture, caption

    def _located(self, page: Page, position: int) -> tuple[int, str, Located]:
        """The page of the form that a scan shows, in words if there are several, and its place."""
        from inkmill.forms.locate.choosing import choose
        from inkmill.forms.locate.registration import locate
        from inkmill.template.templates import Templates

        chosen = choose(page, Templates((self._form,)), position)
        number = chosen.side.number
        how = f"page {number} (by {chosen.by}), " if self._form.page_count > 1 else ""
        return number, how, chosen.located or locate(page, self._form, number)

    def _readings(
        self, name: str, page: Page, number: int, located: Located
    ) -> dict[str, str] | None:
        if self._reader is None:
            return None
        from inkmill.records.rows import Row

        row: Row = self._reader.read(Row(item=0, source=name), page, self._form, number, located)
        return {
            field.name: field.value or field.raw + (f" {field.code}" if field.code else "")
            for field in row.fields
        }


def write_sheets(drawn: Iterable[Drawn], target: Path) -> list[Path]:
    """Write contact sheets of up to 24 pictures: TARGET, then TARGET's name with .2, .3 ..."""
    import cv2

    from inkmill.forms.make.picturing import contact_sheet

    written: list[Path] = []
    left = iter(drawn)
    while part := list(islice(left, _ON_A_SHEET)):
        number = len(written) + 1
        path = target if number == 1 else target.with_suffix(f".{number}{target.suffix}")
        sheet = contact_sheet([picture for picture, _ in part], [caption for _, caption in part])
        if not cv2.imwrite(str(path), sheet):
            raise UsageError(f"{path}: cannot be written: check the folder and its extension")
        written.append(path)
    if not written:
        raise UsageError("--on: there are no scans to draw on")
    return written
