"""Where the template lies on a scan: located by whatever the form offers, and never guessed.

The ways, in order: corner marks, four or any three; features of the blank, where the template
carries one; the printed boxes alone. Whatever a way proposes is refined on the printed boxes
and then judged; a page that no way can place for sure is an error with the cause in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.geometry import Matrix, Points, fit_perspective, inverse
from inkmill.forms.intake import Page
from inkmill.forms.locate.diagnosis import explain
from inkmill.forms.locate.evidence import Outlines, near_lines, seen_lines
from inkmill.forms.locate.features import by_blank
from inkmill.forms.locate.locators import Proposal, by_boxes, by_marks
from inkmill.forms.locate.overview import LONGEST, Overview
from inkmill.forms.locate.pagecode import PageText, read_code
from inkmill.forms.locate.snapping import (
    Moves,
    corrected,
    measure,
    plausible_moves,
    with_perspective,
)
from inkmill.forms.locate.verification import Verification, verify
from inkmill.template.form import Form
from inkmill.template.registration import Registration

#: A page placed by hand is moved onto its printed boxes if this part of their lines is met.
_LINES_AGREE = 0.5


@dataclass(frozen=True)
class Located:
    """Where the template lies on a page.

    ``transform`` 3x3 maps template units to the file's pixels; ``residual`` is how far the
    printed boxes (else the marks) are from where it puts them, in template units; ``moves``
    are what single groups are off by; ``marks`` how many were found; ``method`` what told;
    ``seen`` how surely the printed boxes were met, 0 to 1; ``code`` what the page code said.
    """

    transform: Matrix
    residual: float
    moves: Moves | None
    marks: int
    method: str
    seen: float
    code: str = ""

    def move_of(self, number: int) -> tuple[float, float]:
        """How far field ``number`` of the page (from 0) is from its place, in template units."""
        if self.moves is None:
            return 0.0, 0.0
        row = np.flatnonzero(self.moves.groups == number)
        if not len(row) or not self.moves.sure[row[0]]:
            return 0.0, 0.0
        dx, dy = self.moves.moves[row[0]]
        return float(dx), float(dy)

    def sees(self, number: int) -> bool:
        """Whether the printed lines of field ``number`` were seen; True where it has none."""
        if self.moves is None:
            return True
        return bool(self.moves.sure[self.moves.groups == number].all())


@dataclass(frozen=True)
class Scene:
    """All that the ways to locate a page look at."""

    page: Page
    overview: Overview
    form: Form
    page_number: int
    outlines: Outlines

    @property
    def to_file(self) -> Matrix:
        """3x3: the overview's pixels to the file's."""
        return np.asarray(self.page.to_file @ self.overview.to_page, np.float64)

    @property
    def registration(self) -> Registration:
        """How the template's page says it is located."""
        return self.form.registration_of(self.page_number)


def locate(page: Page, form: Form, page_number: int = 1, by_all: bool = True) -> Located:
    """Find the template's page ``page_number`` on a scan.

    Without ``by_all``, not by the printed boxes alone: that takes most of the time of a page on
    which nothing is found. Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE, CUT_OFF
    or WRONG_SIZE with the cause in words; nothing is ever guessed.
    """
    scene = _scene(page, form, page_number, LONGEST)
    located, refused = _looked(scene, by_all)
    if located is None and by_all and page.step == 1:
        # Faint lines of a photo are lost where it is reduced by much: once more, from nearer.
        nearer = _scene(page, form, page_number, 2 * LONGEST)
        if nearer.overview.scale_x < scene.overview.scale_x:
            located, _ = _looked(nearer, by_all)
    if located is None:
        raise ItemError(*explain(scene.overview, form, refused))
    return located


def _scene(page: Page, form: Form, page_number: int, longest: int) -> Scene:
    overview = Overview.of(page.grey, page.step, longest)
    return Scene(page, overview, form, page_number, Outlines.of(form, page_number))


def _looked(scene: Scene, by_all: bool) -> tuple[Located | None, list[Verification]]:
    """Where the page lies, by the first plausible proposal; and why the others were refused."""
    refused: list[Verification] = []
    for proposal in _proposals(scene, by_all):
        located, verification = _refined(scene, proposal)
        if verification.accepted:
            return located, refused
        refused.append(verification)
    return None, refused


def locate_by_hand(
    page: Page, form: Form, page_number: int, corners: Sequence[tuple[float, float]]
) -> Located:
    """The page as a person says it lies, moved onto the printed boxes where they are seen.

    ``corners`` are pixels of the scan: where the centres of the template's first four marks
    are, or, of a template without marks, the corners of its page; clockwise, from what is top
    left on the form. Raises ItemError UNREGISTERED for corners that make no page.
    """
    scene = _scene(page, form, page_number, LONGEST)
    held = _reference(form, scene.registration)
    points = np.array(corners, np.float64)
    if points.shape != (4, 2) or not cv2.isContourConvex(points.astype(np.float32)):
        raise ItemError(Code.UNREGISTERED, "four corners in turn make a page: these do not")
    to_page = fit_perspective(held, points)
    to_overview = np.asarray(inverse(scene.to_file) @ to_page, np.float64)
    placed = _placed(scene, Proposal(to_overview, held, 4, "by hand"))
    if placed.located.seen >= _LINES_AGREE:
        return placed.located
    return replace(placed.located, transform=to_page, residual=0.0, moves=None)


def _reference(form: Form, registration: Registration) -> Points:
    """The places in template units that a person points at."""
    if registration.marks is not None:
        return np.array(registration.marks.at[:4], np.float64)
    framed = form.page.unit == "frame"
    width, height = (1.0, 1.0) if framed else (form.page.width or 0.0, form.page.height or 0.0)
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def _proposals(scene: Scene, by_all: bool) -> Iterator[Proposal]:
    """Ways to see the page, the surest kind first; each is only tried when those before failed."""
    marks = scene.registration.marks
    if marks is not None:
        yield from by_marks(scene.overview, scene.form, marks, scene.outlines)
    if scene.registration.blank is not None:
        yield from by_blank(scene.overview, scene.registration.blank)
    if by_all and len(scene.outlines):
        yield from by_boxes(scene.overview, scene.form, scene.outlines)


@dataclass(frozen=True)
class Placed:
    """A proposal moved onto the printed boxes; ``transform`` maps to the overview's pixels."""

    located: Located
    transform: Matrix
    text: PageText


def _refined(scene: Scene, proposal: Proposal) -> tuple[Located, Verification]:
    """The proposal moved onto the printed boxes, and what is to be thought of it."""
    placed = _placed(scene, proposal)
    verification = verify(
        overview=scene.overview,
        form=scene.form,
        page_number=scene.page_number,
        proposal=proposal,
        transform=placed.transform,
        located=placed.located,
        text=placed.text,
    )
    return placed.located, verification


def _placed(scene: Scene, proposal: Proposal) -> Placed:
    transform, moves, residual = proposal.transform, None, proposal.residual
    if len(scene.outlines):
        # Four marks hold the page's tilt; with fewer the single cells must tell it.
        witnesses = scene.outlines if proposal.marks == 4 else scene.outlines.by_cell
        for _ in range(proposal.rounds):
            moves = measure(witnesses, transform, scene.overview)
            transform = corrected(transform, moves, proposal.held)
        if proposal.marks < 4:
            moves = measure(witnesses, transform, scene.overview)
            transform = with_perspective(transform, moves, proposal.held)
        moves = measure(scene.outlines, transform, scene.overview)
        moves = plausible_moves(moves, scene.outlines)
        off = np.linalg.norm(moves.moves[moves.sure], axis=1)
        residual = max(residual, float(np.median(off)) if len(off) else 0.0)
    seen = seen_lines(scene.outlines, transform, near_lines(scene.overview, 1))
    code, text = scene.registration.code, PageText("", False)
    if code is not None:
        text = read_code(scene.page.grey, scene.overview.to_page @ transform, code)
    to_file = np.asarray(scene.to_file @ transform, np.float64)
    located = Located(to_file, residual, moves, proposal.marks, proposal.method, seen, text.content)
    return Placed(located, transform, text)
