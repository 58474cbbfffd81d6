"""Where the template lies on a scan: located by whatever the form offers, and never guessed.

The methods, in order: corner marks, four or any three; features of the blank, if the template has
one; the printed boxes alone. Each proposal is refined on the printed boxes and then verified. A
page that no method places with certainty is an error that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.geometry import Matrix, Points, apply, fit_perspective, inverse
from inkmill.forms.intake import Page
from inkmill.forms.locate.bending import NO_MARKS, Bend, FieldFit, fields_at, fit_fields
from inkmill.forms.locate.diagnosis import explain
from inkmill.forms.locate.evidence import Outlines, near_lines, seen_lines
from inkmill.forms.locate.features import by_blank
from inkmill.forms.locate.locators import Proposal, by_boxes, by_marks
from inkmill.forms.locate.overview import LONGEST, Overview
from inkmill.forms.locate.pagecode import PageText, read_code
from inkmill.forms.locate.shapes.matching import by_frames
from inkmill.forms.locate.shapes.sheets import straightened_sheets
from inkmill.forms.locate.snapping import Moves, corrected, measure, with_perspective
from inkmill.forms.locate.verification import Verification, verify
from inkmill.template.form import Form
from inkmill.template.registration import Registration

Box = tuple[float, float, float, float]

#: A page placed by hand is moved onto its printed boxes if at least this evidence is found.
_LINES_AGREE = 0.5
#: So many proposals of one method are compared if the paper is bent.
_COMPARED = 3


@dataclass(frozen=True)
class Located:
    """Where the template lies on a page.

    ``transform`` 3x3 maps template units to the file's pixels; ``residual`` is how far the printed
    boxes (else the marks) are from where it and ``bend`` put them, in template units; ``moves`` is
    how far single fields are off; ``marks`` the number of corner marks found; ``method`` how the
    page was located; ``seen`` the evidence of the printed boxes, 0 to 1; ``code`` the page code's
    content. ``bend`` is the smooth displacement of bent paper; ``lost`` are the numbers on the page
    of the fields that are not on their printed lines.
    """

    transform: Matrix
    residual: float
    moves: Moves | None
    marks: int
    method: str
    seen: float
    code: str = ""
    bend: Bend | None = None
    lost: frozenset[int] = frozenset()

    def moved(self, number: int, boxes: Sequence[Box]) -> list[Box]:
        """The boxes of field ``number`` of the page (from 0) where the page shows them.

        In template units, to be mapped by ``transform``.
        """
        table = np.array(boxes, np.float64).reshape(-1, 4)
        shift = np.zeros(2) if self.moves is None else self.moves.of(number)
        if self.bend is not None:
            shift = shift + self.bend.at(table[:, :2] + table[:, 2:] / 2)
        table[:, :2] += shift
        return [(x, y, w, h) for x, y, w, h in table.tolist()]

    def sees(self, number: int) -> bool:
        """Whether all cells of field ``number`` are on their printed lines; True if it has none."""
        return number not in self.lost


@dataclass(frozen=True)
class Scene:
    """Everything that the methods look at.

    ``straightened`` 3x3 maps the pixels of ``page``, if it was straightened, back to those of the
    page as it was decoded.
    """

    page: Page
    overview: Overview
    form: Form
    page_number: int
    outlines: Outlines
    straightened: Matrix = field(default_factory=lambda: np.eye(3))

    @property
    def to_file(self) -> Matrix:
        """3x3: the overview's pixels to the file's."""
        flat = self.straightened @ self.overview.to_page
        return np.asarray(self.page.to_file @ flat, np.float64)

    @property
    def registration(self) -> Registration:
        """The registration section of the template's page."""
        return self.form.registration_of(self.page_number)


def locate(page: Page, form: Form, page_number: int = 1, by_all: bool = True) -> Located:
    """Find the template's page ``page_number`` on a scan.

    Without ``by_all``, the slow methods are not tried, which take most of the time spent on a page
    on which nothing is found. Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE,
    CUT_OFF or WRONG_SIZE with the cause in words; nothing is guessed.
    """
    scene = _scene(page, form, page_number, LONGEST)
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
    return located


def _views(scene: Scene) -> Iterator[Scene]:
    """The page seen otherwise, where nothing was found: with more pixels, as a sheet on a table."""
    page, form, number = scene.page, scene.form, scene.page_number
    if page.step == 1:
        # A photo's faint lines are lost when it is reduced by much.
        nearer = _scene(page, form, number, 2 * LONGEST)
        if nearer.overview.scale_x < scene.overview.scale_x:
            yield nearer
    for sheet in straightened_sheets(page.grey, form.page.sheet_ratio):
        flat = replace(page, grey=sheet.grey, colour=None)
        yield replace(_scene(flat, form, number, LONGEST), straightened=sheet.to_page)


def _scene(page: Page, form: Form, page_number: int, longest: int) -> Scene:
    overview = Overview.of(page.grey, page.step, longest)
    return Scene(page, overview, form, page_number, Outlines.of(form, page_number))


def _looked(scene: Scene, by_all: bool) -> tuple[Located | None, list[Verification]]:
    """The first accepted proposal, and the verifications of those refused before it.

    On bent paper it is the best of the next few: displaced, a slightly wrong one is accepted, too.
    """
    refused: list[Verification] = []
    for proposals in _methods(scene, by_all):
        bent: list[Located] = []
        for tried, proposal in enumerate(proposals, 1):
            located, verification = _refined(scene, proposal)
            if not verification.accepted:
                refused.append(_as_seen(verification, located, scene))
            elif located.bend is None:
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


def _as_seen(verification: Verification, located: Located, scene: Scene) -> Verification:
    """The verification with what its proposal showed, for the cause in words."""
    if not len(scene.outlines):
        return verification
    height, width = scene.overview.grey.shape
    places = apply(inverse(scene.to_file) @ located.transform, scene.outlines.middles)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    return replace(verification, seen=located.seen, beyond=1.0 - float(inside.mean()))


def locate_by_hand(
    page: Page, form: Form, page_number: int, corners: Sequence[tuple[float, float]]
) -> Located:
    """Locate a page by corners that a person gives, moved onto the printed boxes if they are found.

    ``corners`` are pixels of the scan: the centres of the template's first four marks or, without
    marks, the corners of its page; clockwise from the form's top left. Raises ItemError
    UNREGISTERED if the corners are not those of a page.
    """
    scene = _scene(page, form, page_number, LONGEST)
    held = _reference(form, scene.registration)
    points = np.array(corners, np.float64)
    if points.shape != (4, 2) or not cv2.isContourConvex(points.astype(np.float32)):
        raise ItemError(
            Code.UNREGISTERED, "these are not the corners of a page: give four, clockwise"
        )
    to_page = fit_perspective(held, points)
    to_overview = np.asarray(inverse(scene.to_file) @ to_page, np.float64)
    placed = _placed(scene, Proposal(to_overview, held, 4, "by hand"))
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
    if not by_all or not len(scene.outlines):
        return
    boxes = by_boxes(scene.overview, scene.form, scene.outlines)
    frames = by_frames(
        scene.overview, scene.outlines, np.empty((0, 4, 2)), scene.form.page.unit_aspect
    )
    # The search for boxes is slow, and for pages that fill the scan; a page without marks is often
    # a photo.
    yield from (boxes, frames) if marks is not None else (frames, boxes)


@dataclass(frozen=True)
class Placed:
    """A proposal refined on the printed boxes; ``transform`` maps to the overview's pixels.

    ``fit`` are its fields on their printed lines.
    """

    located: Located
    transform: Matrix
    fit: FieldFit
    text: PageText


def _refined(scene: Scene, proposal: Proposal) -> tuple[Located, Verification]:
    """The proposal refined on the printed boxes, and its verification."""
    placed = _placed(scene, proposal)
    verification = verify(
        overview=scene.overview,
        form=scene.form,
        page_number=scene.page_number,
        proposal=proposal,
        transform=placed.transform,
        fit=placed.fit,
        located=placed.located,
        text=placed.text,
    )
    return placed.located, verification


def _placed(scene: Scene, proposal: Proposal) -> Placed:
    transform, residual = proposal.transform, proposal.residual
    fit = FieldFit(scene.outlines, scene.outlines)
    if len(scene.outlines):
        transform = _corrected(scene, proposal)
        seen_marks = _seen_marks(proposal, transform)
        fit = fit_fields(scene.outlines, transform, scene.overview, seen_marks)
        # The boxes decide: on bent paper, marks that are on it are off as well.
        residual = fit.residual
    seen = seen_lines(fit.outlines, transform, near_lines(scene.overview, 1))
    code, text = scene.registration.code, PageText("", False)
    if code is not None:
        text = read_code(scene.page.grey, scene.overview.to_page @ transform, code)
    located = Located(
        np.asarray(scene.to_file @ transform, np.float64),
        residual=residual,
        moves=fit.moves,
        marks=proposal.marks,
        method=proposal.method,
        seen=seen,
        code=text.content,
        bend=fit.bend,
        lost=fit.lost,
    )
    return Placed(located, transform, fit, text)


def _seen_marks(proposal: Proposal, transform: Matrix) -> tuple[Points, Points]:
    """Marks in template units, and how far they were found from where ``transform`` puts them."""
    if not len(proposal.found_at):
        return NO_MARKS
    marks = proposal.held
    return marks, apply(inverse(transform), proposal.found_at) - marks


def _corrected(scene: Scene, proposal: Proposal) -> Matrix:
    """The proposal's transform, corrected by what the printed boxes have in common."""
    transform = proposal.transform
    # Four marks fix the page's tilt; with fewer, the single cells must show it.
    witnesses = scene.outlines if proposal.marks == 4 else scene.outlines.by_cell
    for _ in range(proposal.rounds):
        moves = measure(witnesses, transform, scene.overview)
        transform = corrected(transform, moves, proposal.held)
    if proposal.marks < 4:
        moves = measure(witnesses, transform, scene.overview)
        transform = with_perspective(transform, moves, proposal.held)
    return transform
