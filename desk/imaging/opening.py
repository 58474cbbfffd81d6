"""From a file to the pages of a draft: pictures, and what was found on them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inkmill.desk.imaging.link import Message
from inkmill.desk.imaging.pictures import Grey, encode, rounded
from inkmill.errors import UsageError
from inkmill.forms.geometry import apply, inverse
from inkmill.forms.intake import decode_page
from inkmill.forms.make.detecting import detect_pages
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.imagefile.sniff import Limits, count_pages
from inkmill.template.form import Form

Content = dict[str, Any]

#: A template without a blank is drawn at this resolution.
_DRAWN_DPI = 150.0
#: Longest side in pixels of the blank in a template (see `inkmill.forms.make.drafting`).
_STORED_SIDE = 1400
#: A page without marks is taken to be as wide as A4, in mm.
_A4_WIDTH = 210.0


def count(request: Message) -> Message:
    """How many pages the file in the request has."""
    return Message({"pages": count_pages(request.blobs[0], _limits(request))})


def pages(request: Message) -> Message:
    """All pages of a file, straightened: a template with the boxes found on them, and notes.

    ``boxes`` are the extents of the pictures in the template's unit. The answer's blobs are the
    pages' pictures.
    """
    data, limits = request.blobs[0], _limits(request)
    greys = [decode_page(data, n, limits).grey for n in range(1, count_pages(data, limits) + 1)]
    notes = list[str]()
    try:
        content, shown = _detected(greys, notes.append)
    except UsageError as error:
        # Pages without boxes are drawn on by hand.
        notes.append(str(error))
        content, shown = _bare(greys), greys
    places = [content["registration"], *(side["registration"] for side in content.get("pages", ()))]
    head = {
        "template": content,
        "notes": notes,
        "boxes": [place["blank"]["box"] for place in places],
        "sizes": [grey.shape[::-1] for grey in shown],
    }
    return Message(head, [encode(grey, max(grey.shape)) for grey in shown])


def _detected(greys: Sequence[Grey], note: Callable[[str], None]) -> tuple[Content, Sequence[Grey]]:
    """A template's content, and the pictures that its boxes are drawn on."""
    made = detect_pages(greys, "form", note)
    return made.form.content(), made.pages


def _bare(greys: Sequence[Grey]) -> Content:
    """The content for pages on which nothing was found."""
    unit = _A4_WIDTH / min(greys[0].shape)
    places = []
    for grey in greys:
        height, width = (round(side * unit, 3) for side in grey.shape)
        png = base64.b64encode(encode(grey, _STORED_SIDE)).decode("ascii")
        places.append({"blank": {"png": png, "box": [0.0, 0.0, width, height]}})
    _, _, width, height = places[0]["blank"]["box"]
    return {
        "inkmill_form": 1,
        "page": {"width": width, "height": height, "unit": "mm"},
        "registration": places[0],
        "fields": [],
        "pages": [{"number": n, "registration": each} for n, each in enumerate(places[1:], 2)],
    }


def draw(request: Message) -> Message:
    """A template's page as it would be printed, for templates without a blank."""
    form = Form.model_validate_json(request.blobs[0])
    grey = draw_page(form, int(request.head["page"]), _DRAWN_DPI, labels=False)
    height, width = grey.shape
    edges = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    (left, top), (right, bottom) = apply(
        inverse(template_to_pixels(form, _DRAWN_DPI)), edges
    ).tolist()
    box = rounded((left, top, right - left, bottom - top))
    return Message({"size": [width, height], "box": box}, [encode(grey, max(grey.shape))])


def _limits(request: Message) -> Limits:
    return Limits(int(request.head["max_pixels"]), int(request.head["max_pages"]))
