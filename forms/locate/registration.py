"""Where the template lies on a scan: located by whatever the form offers, and never guessed.

The methods, in order: corner marks, four or any three; features of the blank, if the template has
one; frames and tables by their corners; the printed boxes alone. Where they find nothing, the page
is looked at with more pixels, and as a sheet on a table. Each proposal is refined on the printed
boxes and then verified. A page that no method places with certainty is an error that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.geometry import Points, apply, fit_perspective, inverse
from inkmill.forms.intake import Page
from inkmill.forms.locate.diagnosis import explain
from inkmill.forms.locate.features import by_blank
from inkmill.forms.locate.placing.printed import Printed
from inkmill.forms.locate.placing.refining import place
from inkmill.forms.locate.placing.rivals import LEAD, moved_to_fit, turned_ways
from inkmill.forms.locate.placing.scene import Located, Scene
from inkmill.forms.locate.shapes.matching import by_frames
from inkmill.forms.locate.shapes.several import (
    beside_it_on_a_scan,
    room_for_another,
    sheet_on,
    without,
)
from inkmill.forms.locate.shapes.sheets import straightened_sheets
from inkmill.forms.locate.verification import Verification, unclear_way_up, verify
from inkmill.forms.locate.vision.bending import fields_at
from inkmill.forms.locate.vision.expected import remember
from inkmill.forms.locate.vision.locators import Proposal, by_boxes, by_marks
from inkmill.forms.locate.vision.overview import LONGEST
from inkmill.template.form import Form
from inkmill.template.registration import Registration

__all__ = ["Located", "locate", "locate_by_hand"]

#: A page placed by hand is moved onto its printed boxes if at least this evidence is found.
_LINES_AGREE = 0.5
#: So many cells in the picture tell that others are beyond its edge.
_TELLING = 8
#: So many proposals of one method are compared if the paper is bent.
_COMPARED = 3
#: Without four marks, more fields off their lines than this, a number and a share, are doubtful: a
#: table turned fits beside itself but for a column of another width.
_DOUBTFUL = (1, 0.02)


def locate(page: Page, form: Form, page_number: int = 1, by_all: bool = True) -> Located:
    """Find the template's page ``page_number`` on a scan.

    Without ``by_all``, the slow methods are not tried, which take most of the time spent on a page
    on which nothing is found. Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE,
    CUT_OFF or WRONG_SIZE with the cause in words; nothing is guessed.
    """
    scene = Scene.of(page, form, page_number)
    located, refused = _looked(scene, by_all)
    for view in _views(scene) if by_all and located is None else ():
        if any(each.ambiguous for each in refused):
            break
        located, others = _looked(view, by_all)
        refused += others
        if located is not None:
            break
    if located is None:
        raise ItemError(*explain(page, scene.overview, form, page_number, refused))
    if _shows_another_page(scene, located):
        raise ItemError(
            Code.UNREGISTERED,
            "the picture shows two pages, of which only one would be read: scan or save each page "
            "by itself",
        )
    return located


def _shows_another_page(scene: Scene, located: Located) -> bool:
    """Whether the picture shows a page of the form besides the located one."""
    to_overview = inverse(scene.to_file) @ located.transform
    sheet = sheet_on(scene.form, scene.registration, scene.outlines, to_overview)
    if not room_for_another(scene.overview, sheet):
        return False
    if beside_it_on_a_scan(scene.overview, sheet):
        return True
    rest = replace(scene.page, grey=without(scene.page.grey, apply(scene.overview.to_page, sheet)))
    numbers = range(1, scene.form.page_count + 1)
    others = (Scene.of(rest, scene.form, number) for number in numbers)
    return any(_looked(each, by_all=False)[0] is not None for each in others)


def _views(scene: Scene) -> Iterator[Scene]:
    """The page seen otherwise, where nothing was found: with more pixels, as a sheet on a table."""
    page, form, number = scene.page, scene.form, scene.page_number
    if page.step == 1:
        # A photo's faint lines are lost when it is reduced by much.
        nearer = Scene.of(page, form, number, 2 * LONGEST)
        if nearer.overview.scale_x < scene.overview.scale_x:
            yield nearer
    for sheet in straightened_sheets(page.grey, form.page.sheet_ratio):
        flat = replace(page, grey=sheet.grey, colour=None)
        yield replace(Scene.of(flat, form, number), straightened=sheet.to_page)


def _looked(scene: Scene, by_all: bool) -> tuple[Located | None, list[Verification]]:
    """The first accepted proposal, and the verifications of those refused before it.

    On bent paper it is the best of the next few: displaced, a slightly wrong one is accepted, too.
    """
    refused: list[Verification] = []
    for proposals in _methods(scene, by_all):
        bent: list[Located] = []
        for tried, proposal in enumerate(proposals, 1):
            located, verification = _right_way_up(scene, proposal)
            if verification.accepted and _is_doubtful(located):
                located, verification = _against_rivals(scene, proposal, located)
            if not verification.accepted:
                refused.append(_as_seen(verification, located, scene))
            elif located.bend is None:
                _remember(scene, proposal)
                return located, refused
            else:
                bent.append(located)
            # The blank's features do not lie; among specks that look like marks, four may.
            if bent and (tried >= _COMPARED or proposal.method == "blank"):
                break
        if bent:
            return max(bent, key=lambda each: (-len(each.lost), each.seen)), refused
        if any(each.ambiguous for each in refused):
            break
    return None, refused


def _remember(scene: Scene, proposal: Proposal) -> None:
    """The next page of the form is expected where this one lies."""
    marks = scene.registration.marks
    if marks is not None and proposal.method == "marks" and proposal.marks == 4:
        remember(scene.form.hash, marks, scene.overview, proposal.found_at)


def _right_way_up(scene: Scene, proposal: Proposal) -> tuple[Located, Verification]:
    """The proposal, or the same one turned, if only the page's code can tell, and does.

    It does if it is read in one of these ways alone: a code in the middle of the page, or at both
    ends of it, is read the other way up as well.
    """
    located, verification = _refined(scene, proposal)
    if not verification.turned or scene.registration.code is None:
        return located, verification
    # Where the page was found by marks, the other ways are proposals of their own.
    free = replace(proposal, held=np.empty((0, 2)), found_at=np.empty((0, 2)))
    ways = [
        replace(free, transform=proposal.transform @ turn)
        for turn in turned_ways(scene.outlines, proposal, scene.form)
    ]
    showing = [way for way in (proposal, *ways) if _shows_code(scene, way)]
    if len(showing) != 1 or (showing[0] is not proposal and len(proposal.held)):
        return located, verification
    return _refined(scene, showing[0], told=True)


def _is_doubtful(located: Located) -> bool:
    """Whether so many fields are off their lines that the form may fit better elsewhere."""
    if located.marks >= 4 or located.method == "blank" or located.moves is None:
        return False
    least, share = _DOUBTFUL
    return len(located.lost) > max(least, share * len(located.moves.sure))


def _against_rivals(
    scene: Scene, proposal: Proposal, located: Located
) -> tuple[Located, Verification]:
    """The proposal, or the same one turned and moved, whichever fits better.

    Refused if the form is about as well seen turned, but not well enough to be accepted there.
    """
    here = inverse(scene.to_file) @ located.transform
    ways = turned_ways(scene.outlines, proposal, scene.form)
    for turn in () if scene.registration.upright else ways:
        moved = moved_to_fit(here @ turn, scene.outlines, scene.overview)
        free = replace(proposal, held=np.empty((0, 2)), found_at=np.empty((0, 2)), marks=0)
        other, verification = _refined(scene, replace(free, transform=moved))
        if located.code and not other.code:
            # The page's code is read one way up alone.
            continue
        if verification.accepted and len(other.lost) < len(located.lost):
            return other, verification
        if other.seen > located.seen - LEAD:
            return located, unclear_way_up(proposal)
    return located, Verification(True)


def _shows_code(scene: Scene, proposal: Proposal) -> bool:
    """Whether the page's own code is read where a proposal puts it."""
    code, content = scene.registration.code, place(scene, proposal).located.code
    return code is not None and bool(content) and code.names(content, scene.page_number)


def _as_seen(verification: Verification, located: Located, scene: Scene) -> Verification:
    """The verification with what its proposal showed, for the cause in words."""
    if not len(scene.outlines):
        return verification
    height, width = scene.overview.grey.shape
    places = apply(inverse(scene.to_file) @ located.transform, scene.outlines.middles)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    # A few boxes fit beside others by chance.
    beyond = 1.0 - float(inside.mean()) if inside.sum() >= _TELLING else 0.0
    return replace(verification, seen=located.seen, beyond=beyond)


def locate_by_hand(
    page: Page, form: Form, page_number: int, corners: Sequence[tuple[float, float]]
) -> Located:
    """Locate a page by corners that a person gives, moved onto the printed boxes if they are found.

    ``corners`` are pixels of the scan: the centres of the template's first four marks or, without
    marks, the corners of its page; clockwise from the form's top left. Raises ItemError
    UNREGISTERED if the corners are not those of a page.
    """
    scene = Scene.of(page, form, page_number)
    held = _reference(form, scene.registration)
    points = np.array(corners, np.float64)
    if points.shape != (4, 2) or not cv2.isContourConvex(points.astype(np.float32)):
        raise ItemError(
            Code.UNREGISTERED, "these are not the corners of a page: give four, clockwise"
        )
    to_page = fit_perspective(held, points)
    to_overview = np.asarray(inverse(scene.to_file) @ to_page, np.float64)
    placed = place(scene, Proposal(to_overview, held, 4, "by hand"))
    if placed.located.seen >= _LINES_AGREE:
        return placed.located
    as_given = fields_at(scene.outlines, to_overview, scene.overview)
    return replace(
        placed.located, transform=to_page, residual=0.0, moves=None, bend=None, lost=as_given
    )


def _reference(form: Form, registration: Registration) -> Points:
    """The places in template units of the corners that a person gives."""
    if registration.marks is not None:
        return np.array(registration.marks.at[:4], np.float64)
    framed = form.page.unit == "frame"
    width, height = (1.0, 1.0) if framed else (form.page.width or 0.0, form.page.height or 0.0)
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def _methods(scene: Scene, by_all: bool) -> Iterator[Iterator[Proposal]]:
    """Proposals of all methods, the most reliable first; lazily, since the first may do."""
    marks = scene.registration.marks
    if marks is not None:
        yield by_marks(scene.overview, scene.form, marks, scene.outlines)
    if scene.registration.blank is not None:
        yield by_blank(scene.overview, scene.registration.blank, thorough=by_all)
    if not len(scene.outlines):
        return
    blank = scene.registration.blank
    printed = np.empty((0, 4, 2)) if blank is None else Printed.of(blank).quads
    frames = by_frames(scene.overview, scene.outlines, printed, scene.form.page.unit_aspect)
    # A page without marks is often a photo. The search for boxes is slow, and for pages that fill
    # the scan.
    if marks is None:
        yield frames
    if by_all:
        yield by_boxes(scene.overview, scene.form, scene.outlines)
    if by_all and marks is not None:
        yield frames


def _refined(scene: Scene, proposal: Proposal, told: bool = False) -> tuple[Located, Verification]:
    """The proposal refined on the printed boxes, and its verification.

    ``told`` says that its page code has told which way up the page is.
    """
    placed = place(scene, proposal)
    verification = verify(
        overview=scene.overview,
        form=scene.form,
        page_number=scene.page_number,
        proposal=proposal,
        transform=placed.transform,
        fit=placed.fit,
        located=placed.located,
        text=placed.text,
        told=told,
    )
    return placed.located, verification
