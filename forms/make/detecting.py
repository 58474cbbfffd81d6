"""From pictures of a form's pages, blank or filled in, to a draft template.

`detect_pages` takes one picture for each page of the form; `detect_form` also takes several scans
of the form, whose print it then learns. Entered by `inkmill form detect` and by editors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.intake import Page
from inkmill.forms.make.drafting import FoundPage, draft
from inkmill.forms.make.finding.boxes import BoxRow, find_rows, whole_boxes
from inkmill.forms.make.finding.choices import with_choices
from inkmill.forms.make.finding.printed import find_codes, find_marks, without
from inkmill.forms.make.finding.straightening import sized, straightened
from inkmill.forms.make.learning import LEAST_SCANS, learn_blank
from inkmill.forms.make.numbering import page_numbers
from inkmill.template.form import Form

Grey = NDArray[np.uint8]
Note = Callable[[str], None]

#: Pages of one file are scans of one page, not pages of a form, if this share of the boxes of
#: each is in the same place.
_SAME_PAGE = 0.8
#: Pages that are compared for that: boxes take half a second each.
_COMPARED = 3
#: Scans of one page are moved against each other by less than this part of its width; boxes then
#: meet up to this part of it. The moves of so many boxes are tried.
_MOVED, _MET, _TRIED = 0.08, 0.01, 12


def _unheard(_: str) -> None:
    pass


@dataclass(frozen=True)
class Draft:
    """A draft template, and what it was made from.

    ``form`` has fields box_001, box_002 ... from the first page to the last. ``pages`` are uint8
    (height, width), a picture of each page of the form, straightened, to draw boxes on.
    ``used`` is the number of pages that were read, ``refused`` of those that showed another form.
    """

    form: Form
    pages: tuple[Grey, ...]
    used: int = 1
    refused: int = 0


def detect_pages(pages: Sequence[Grey], name: str, note: Note = _unheard) -> Draft:
    """A draft from one picture of each page of a form, uint8 (height, width), in their order.

    Pages may be blank or filled in, scans or photos. ``note`` is told what is left out and what a
    person should look at. Raises UsageError if no box is found.
    """
    return detect_form([[Page(grey) for grey in pages]], name, len(pages), note)


def detect_form(
    documents: Sequence[Sequence[Page]],
    name: str,
    page_count: int | None = None,
    note: Note = _unheard,
) -> Draft:
    """A draft from one or several documents (files), each with its pages in order.

    ``page_count`` is how many pages the form has. Without it, a file of several pages shows all
    pages of the form, unless they look alike: then they are scans of one page. From five scans of a
    page on, its print is learnt from all of them; with fewer, the first one counts. Raises
    UsageError if no box is found.
    """
    scans = [page for document in documents for page in document]
    if not scans:
        raise UsageError("there is no page to find boxes on: give a blank page or scans")
    count = page_count or _page_count(documents)
    found, used, refused = list[FoundPage](), 0, 0
    for number in range(min(count, len(scans))):
        own = scans[number::count]
        learnt = learn_blank(own if len(own) >= LEAST_SCANS else own[:1])
        if 1 < len(own) < LEAST_SCANS and number == 0:
            note(
                f"{len(own)} scans are too few to learn the print from: the first one was used "
                f"(give one, or {LEAST_SCANS} or more)"
            )
        used, refused = used + learnt.used, refused + len(learnt.refused)
        where = f"page {number + 1}: " if count > 1 else ""
        page, cut = find_page(learnt.grey)
        for left, top in cut:
            box = f"the box at {left}, {top} pixels"
            note(f"{where}left out: {box}, which the picture's edge cuts off")
        found.append(page)
    if not any(page.rows for page in found):
        raise UsageError("no boxes were found: is it the right page, and printed with lines?")
    form = draft(found, name, note)
    return Draft(form, tuple(page.grey for page in found), used, refused)


def find_page(grey: Grey) -> tuple[FoundPage, list[tuple[int, int]]]:
    """The boxes, marks and codes of an upright page, uint8 (height, width).

    Also the places in pixels of boxes that the picture's edge cuts off, which are left out.
    """
    codes = find_codes(grey)
    bare = without(grey, codes)
    rows, cut = whole_boxes(find_rows(bare), grey)
    marks = find_marks(_emptied(bare, rows))
    rows = with_choices(rows, min(grey.shape))
    page = FoundPage(grey, _emptied(grey, rows), tuple(rows), marks, tuple(codes))
    return page, [(round(left), round(top)) for left, top, *_ in cut.tolist()]


def _emptied(grey: Grey, rows: Sequence[BoxRow]) -> Grey:
    """The page without the ink in its boxes: a template must not hold what somebody wrote."""
    page = grey.copy()
    for row in rows:
        for x, y, width, height in row.boxes:
            margin = max(3.0, 0.08 * min(width, height))
            first = (round(x + margin), round(y + margin))
            last = (round(x + width - margin), round(y + height - margin))
            part = page[first[1] : last[1] + 1, first[0] : last[0] + 1]
            if part.size:
                cv2.rectangle(page, first, last, int(np.percentile(part, 85)), -1)
    return page


def _page_count(documents: Sequence[Sequence[Page]]) -> int:
    """How many pages the form has, as the files show it."""
    counts = {len(document) for document in documents}
    count = counts.pop()
    if counts or count == 1:
        return 1
    return 1 if _alike(documents[0]) else count


def _alike(pages: Sequence[Page]) -> bool:
    """Whether pages are scans of one page: their boxes are in the same places."""
    first, *others = (_places(page.grey) for page in pages[:_COMPARED])
    texts = [code.text for page in pages for code in find_codes(page.grey)[:1]]
    if len(texts) == len(pages) and page_numbers(texts) is not None:
        return False
    return all(_shared(first, other) > _SAME_PAGE for other in others)


def _places(grey: Grey) -> NDArray[np.float64]:
    """The middles of the boxes of a page, in parts of its width: (n, 2)."""
    page = straightened(sized(grey))
    boxes = [row.boxes for row in find_rows(without(page, find_codes(page)))]
    if not boxes:
        return np.empty((0, 2))
    places = np.vstack([each[:, :2] + each[:, 2:] / 2 for each in boxes])
    return np.asarray(places / min(page.shape))


def _shared(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The share of places of two pages that are on both, moved a little against each other."""
    if not len(one) or not len(other):
        return 0.0
    steps = (other[None] - one[:_TRIED, None]).reshape(-1, 2)
    steps = steps[np.linalg.norm(steps, axis=1) < _MOVED]
    return max((_met(one + step, other) for step in steps), default=0.0)


def _met(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    apart = np.linalg.norm(one[:, None] - other[None], axis=2)
    met = (apart.min(axis=1) < _MET).sum() + (apart.min(axis=0) < _MET).sum()
    return float(met / (len(one) + len(other)))
