"""A template on scans: where its boxes lie, and which of them are not on their printed lines."""

from __future__ import annotations

from typing import Any

from inkmill.desk.imaging.link import Message
from inkmill.desk.imaging.pictures import encode
from inkmill.errors import ItemError
from inkmill.forms.geometry import apply, corners
from inkmill.forms.intake import Page, decode_page
from inkmill.forms.locate.choosing import choose
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.make.remarks import place_on_scan, remarks
from inkmill.imagefile.sniff import Limits
from inkmill.template.form import Form
from inkmill.template.templates import Templates

#: Longest side in pixels of a scan as it is kept for the overlay: A4 at 200 dpi.
_LONGEST = 2400


def scan(request: Message) -> Message:
    """A page of a scan as a picture for the overlay."""
    limits = Limits(int(request.head["max_pixels"]), int(request.head["max_pages"]))
    grey = decode_page(request.blobs[0], int(request.head["page"]), limits).grey
    picture = encode(grey, _LONGEST)
    scale = min(1.0, _LONGEST / max(grey.shape))
    size = [max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))]
    return Message({"size": size}, [picture])


def locate_form(request: Message) -> Message:
    """The template (first blob, JSON) on a scan (second blob): each field's boxes on it.

    ``page`` is the scan's position in its file, for forms whose pages look alike. A scan that
    cannot be located is an answer with ``code`` and ``message``.
    """
    form = Form.model_validate_json(request.blobs[0])
    page = decode_page(request.blobs[1])
    try:
        number, located = _located(page, form, int(request.head["page"]))
    except ItemError as error:
        return Message({"code": str(error.code), "message": error.message})
    summary = place_on_scan(form, number, located)
    return Message({"page": number, "summary": summary, "fields": _fields(form, number, located)})


def _located(page: Page, form: Form, position: int) -> tuple[int, Located]:
    if form.page_count == 1:
        return 1, locate(page, form)
    side = choose(page, Templates((form,)), position)
    number = side.side.number
    return number, side.located or locate(page, form, number)


def _fields(form: Form, number: int, located: Located) -> list[dict[str, Any]]:
    """Name, boxes as corners in pixels of the browser, and whether they are off their lines."""
    return [
        {
            "name": field.name,
            "off": not located.sees(index),
            "boxes": [
                (apply(located.transform, corners(box)) + 0.5).round(1).tolist()
                for box in located.moved(index, field.cells.rectangles())
            ],
        }
        for index, field in enumerate(form.page_fields(number))
    ]


def remarks_on(request: Message) -> Message:
    """What is doubtful about a valid template, in sentences."""
    return Message({"remarks": list(remarks(Form.model_validate_json(request.blobs[0])))})
