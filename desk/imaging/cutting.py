"""Pictures for review: fields, cells and pages cut from a scan, by a row's place or by corners."""

from __future__ import annotations

from functools import lru_cache

from inkmill.desk.imaging.link import Message
from inkmill.forms.cut import enlarged
from inkmill.forms.cut.enlarged import View
from inkmill.imagefile.sniff import Limits
from inkmill.template.form import Form


def cut(request: Message) -> Message:
    """The pictures of ``views`` (`View`, as mappings) of a page: one blob each."""
    head = request.head
    views = [View(**{**each, "transform": tuple(each["transform"])}) for each in head["views"]]
    form = _form(head["form"]) if head["form"] else None
    page = int(head["page"])
    return Message({}, enlarged.enlarged(request.blobs[0], page, form, views, _limits(request)))


def by_corners(request: Message) -> Message:
    """The fields of page ``number`` of a template as four ``corners`` cut them: one blob each.

    The answer's ``names`` are those of the fields, its ``corners`` are in pixels of the scan.
    """
    head = request.head
    corners = [(float(x), float(y)) for x, y in head["corners"]]
    points, found = enlarged.by_corners(
        request.blobs[0],
        int(head["page"]),
        _form(head["form"]),
        int(head["number"]),
        corners,
        _limits(request),
    )
    names, pictures = [name for name, _ in found], [picture for _, picture in found]
    return Message({"names": names, "corners": points}, pictures)


def _limits(request: Message) -> Limits:
    return Limits(int(request.head["max_pixels"]), int(request.head["max_pages"]))


@lru_cache(maxsize=16)
def _form(text: str) -> Form:
    return Form.parse(text, "the template of a job")
